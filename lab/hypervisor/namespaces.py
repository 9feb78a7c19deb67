"""The outside of a private hypervisor: namespaces for mounts, network and processes, and a folder for its files.

The first process inside is process 1 of its own world: when it ends, the kernel ends every other one with it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lab.hypervisor.needs import MARK, HypervisorError, missing

INSIDE = "inside"
ROOT = Path(__file__).resolve().parent.parent.parent


def run(command: Sequence[str], cards: Path | None = None) -> int:
    """Run a command in a private hypervisor and return its exit status; 128 + n where signal n ended it.

    Raises HypervisorError where this machine cannot carry one.
    """
    if os.environ.get(MARK):
        raise HypervisorError("this is a private hypervisor already; run the command itself")
    if reason := missing():
        raise HypervisorError(f"no private hypervisor on this machine: {reason}")
    folder = Path(tempfile.mkdtemp(prefix="hypervisor-"))
    try:
        return _wait(subprocess.Popen(_command(folder, command, cards)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _command(folder: Path, command: Sequence[str], cards: Path | None) -> list[str]:
    # A parent that is killed takes all of it along.
    apart = [
        "setpriv",
        "--pdeathsig=KILL",
        "unshare",
        "--mount",
        "--net",
        "--pid",
        "--fork",
        "--mount-proc",
        "--kill-child",
        "--propagation=private",
    ]
    options = ["--cards", str(cards.resolve())] if cards else []
    python = ["env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "lab.hypervisor"]
    return [*apart, *python, INSIDE, *options, str(folder), "--", *command]


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end; being told to end passes on, so that nothing inside is orphaned."""
    before = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        while True:
            try:
                status = process.wait()
            except KeyboardInterrupt:
                continue  # the terminal sent it to everyone inside as well
            return status if status >= 0 else 128 - status
    finally:
        signal.signal(signal.SIGTERM, before)
