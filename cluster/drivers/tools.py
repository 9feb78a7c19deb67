"""The outside world of a rollout: running programs, waiting, telling. Tests bring their own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass


class DriverError(Exception):
    """Something that a person has to know and do something about; the message says what."""


class SilentError(DriverError):
    """The cluster cannot be asked. It says nothing of a driver, so nothing is taken back for it."""


class NodeError(DriverError):
    """A node does not do what it should with the driver that it has, or is to have."""

    def __init__(self, node: str, reason: str) -> None:
        super().__init__(f"{node}: {reason}" if node else reason)
        self.node = node
        self.reason = reason


@dataclass(frozen=True)
class Done:
    """How a program ended. ``status`` is 124 where it was ended for running too long."""

    status: int
    out: str = ""
    err: str = ""

    @property
    def said(self) -> str:
        """The last line that says something, of standard error before standard output."""
        lines = [line.strip() for text in (self.out, self.err) for line in text.splitlines() if line.strip()]
        return lines[-1] if lines else f"exit status {self.status}"


class Tools:
    """What a rollout may do to the outside."""

    def run(self, words: Sequence[str], timeout_s: float, given: str = "") -> Done:
        """Run a program to its end with ``given`` on its standard input; SilentError where there is none."""
        try:
            done = subprocess.run(
                words,
                input=given,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                env={**os.environ, "LC_ALL": "C"},
            )
        except FileNotFoundError:
            raise SilentError(
                f"there is no {words[0]} on PATH, by which the GPU nodes are looked at; install it where you run the"
                " update: https://kubernetes.io/docs/tasks/tools"
            ) from None
        except subprocess.TimeoutExpired:
            return Done(124, err=f"no answer within {timeout_s:g} s")
        return Done(done.returncode, done.stdout, done.stderr)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def elapsed(self) -> float:
        """Return seconds on a clock that nobody sets."""
        return time.monotonic()

    def say(self, text: str) -> None:
        """Tell what is being done."""
        print(text, file=sys.stderr, flush=True)
