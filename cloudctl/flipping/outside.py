"""Runs the commands of a flip: no shell, no input, English messages, an end to every wait."""

from __future__ import annotations

import os
import subprocess

from cluster.flip.commands import Command
from cluster.flip.world import Outcome


def run(command: Command, seconds: float) -> Outcome:
    """Run a command, so long at most, and return how it ended with the last line of its complaint."""
    done = capture(command, seconds)
    return done if isinstance(done, Outcome) else Outcome(done.returncode == 0, _reason(done))


def capture(command: Command, seconds: float) -> subprocess.CompletedProcess[str] | Outcome:
    """Run a command and return what it printed, or why it did not end by itself."""
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        return Outcome(False, f"there is no {command[0]} on PATH")
    except OSError as error:
        return Outcome(False, f"{command[0]}: {error.strerror}")
    except subprocess.TimeoutExpired:
        return Outcome(False, f"it did not end within {seconds:g} s")


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    return lines[-1] if lines else f"exit status {done.returncode}"
