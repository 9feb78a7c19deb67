"""Bring a rehearsal that was killed back to where the engine can go on: its lock, then its pending operations."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from cluster.problems import InputError, Problem
from cluster.settings.model import NAMESPACE
from lab.workspace import ROOT, Workspace


def recover(place: Workspace, say: Callable[[str], None]) -> bool:
    """Mend what a killed engine left; return whether there was anything.

    Raises InputError while another run is alive, RuntimeError where the state could not be mended.
    """
    freed = _free_lock(place, say)
    if not place.state_file.exists():
        return freed
    forgotten = place.create_failed.exists()
    if not place.checkpoint().get("pending_operations") and not forgotten:
        return freed
    more = ["--strays"] if forgotten else []
    say(" ".join(["an earlier run was cut off: cloudctl recover", *more]))
    words = [sys.executable, "-m", "cloudctl", "recover", "--stack", place.stack, "--yes", *more]
    done = subprocess.run(words, cwd=ROOT, env=place.environment(), capture_output=True, text=True)
    log = place.logs / f"{time.strftime('%Y%m%dT%H%M%S')}-recover.log"
    log.write_text(done.stdout + done.stderr)
    if done.returncode != 0:
        raise RuntimeError(f"cloudctl recover: {(done.stderr or done.stdout).strip()}; whole output: {log}")
    place.create_failed.unlink(missing_ok=True)
    return True


def _free_lock(place: Workspace, say: Callable[[str], None]) -> bool:
    """Remove locks whose process is gone; a lock of another machine or a live process stands."""
    freed = False
    folder = place.home / "state" / ".pulumi" / "locks" / "organization" / NAMESPACE / place.stack
    for lock in sorted(folder.glob("*.json")):
        held = _read(lock)
        pid = int(held.get("pid", 0))
        if held.get("hostname") == socket.gethostname() and not _alive(pid):
            lock.unlink(missing_ok=True)
            freed = True
            continue
        reason = f"is locked by process {pid} on {held.get('hostname')} since {held.get('timestamp')}"
        remedy = "wait for it, or end it; a lock whose process is gone is removed by the next run"
        raise InputError(place.stack, [Problem("stack", place.stack, reason, remedy)])
    if freed:
        say("removed the lock of a run that is gone")
    return freed


def _read(lock: Path) -> dict[str, str]:
    try:
        content: dict[str, str] = json.loads(lock.read_text())
    except (OSError, ValueError):
        return {"hostname": socket.gethostname(), "pid": "0"}  # cut short while it was written: nobody holds it
    return content


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[-1].split()[0] != "Z"
