"""Run something long with a sign of life: what it is, how long it usually takes, how long it has taken so far."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

BEAT = 20.0
"""Seconds between two signs of life."""


def say(text: str) -> None:
    """Print a line of progress on stderr; stdout is for results."""
    print(text, file=sys.stderr, flush=True)


def run(
    what: str,
    command: Sequence[str],
    *,
    log: Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    limit: float | None = None,
    beat: float = BEAT,
) -> int | None:
    """Run a command, output into ``log``; return its exit status, or None where ``limit`` seconds were not enough.

    It runs in its own process group, and whatever of it is left is ended when this function is left, by Ctrl-C as well.
    """
    began = time.monotonic()
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    try:
        while True:
            left = beat if limit is None else min(beat, began + limit - time.monotonic())
            if left <= 0:
                return None
            try:
                return process.wait(timeout=left)
            except subprocess.TimeoutExpired:
                say(f"  {what}: {time.monotonic() - began:.0f} s so far")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def last_line(log: Path) -> str:
    """Return the last line of a log that says something, for an error message."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no output"
