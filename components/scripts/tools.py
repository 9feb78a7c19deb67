"""Running other programs, time, and libvirt by ``virsh``, for the scripts beside. Nothing but the standard library."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

ATTEMPTS = 5
_BUSY = re.compile(r"Storage volume not found|asynchronous jobs running")


class ScriptError(Exception):
    """Something that the user has to know and do something about; the message is one for people."""


@dataclass(frozen=True)
class Done:
    """How a program ended. ``status`` is 124 where it was ended for running too long."""

    status: int
    out: str = ""
    err: str = ""

    @property
    def last(self) -> str:
        """The last line that says something, of standard error before standard output."""
        lines = [line.strip() for text in (self.err, self.out) for line in text.splitlines() if line.strip()]
        err = [line.strip() for line in self.err.splitlines() if line.strip()]
        return (err or lines or [f"exit status {self.status}"])[-1]


class Tools:
    """The outside world of a script; tests bring their own."""

    def run(self, words: Sequence[str], timeout_s: float) -> Done:
        """Run a program to its end, in English; ScriptError where there is none of that name."""
        try:
            done = subprocess.run(
                words,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=max(timeout_s, 1),
                stdin=subprocess.DEVNULL,
                env={**os.environ, "LC_ALL": "C"},
            )
        except FileNotFoundError:
            raise ScriptError(f"there is no {words[0]} on PATH; install it where you run the update") from None
        except subprocess.TimeoutExpired as error:
            said = [text.decode(errors="replace") if isinstance(text, bytes) else text or "" for text in _said(error)]
            return Done(124, *said)
        return Done(done.returncode, done.stdout, done.stderr)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def elapsed(self) -> float:
        """Return seconds on a clock that nobody sets."""
        return time.monotonic()

    def now(self) -> float:
        """Return this machine's time, in seconds since 1970."""
        return time.time()

    def say(self, text: str) -> None:
        """Tell what is being done."""
        print(text, file=sys.stderr, flush=True)


def _said(error: subprocess.TimeoutExpired) -> tuple[str | bytes | None, str | bytes | None]:
    return error.stdout, error.stderr


@dataclass(frozen=True)
class Virsh:
    """``virsh`` for one VM: by its UUID, so that one of the same name that somebody else made is never meant."""

    tools: Tools
    uri: str
    uuid: str
    vm: str

    @classmethod
    def told(cls, tools: Tools, environment: Mapping[str, str]) -> Virsh:
        """Return the one that the environment names: URI, UUID, VM."""
        return cls(tools, environment["URI"], environment["UUID"], environment["VM"])

    def ask(self, *words: str, timeout_s: float = 120) -> Done:
        """Run a command of virsh, whatever comes of it.

        While libvirt looks into a pool's folder anew, which the provider has it do at each turn, it knows of no volume
        there, and while a volume is copied in it refuses to look: then the same is asked again.
        """
        for attempt in range(ATTEMPTS):
            done = self.tools.run(["virsh", "-q", "-c", self.uri, *words], timeout_s)
            busy = done.status != 0 and words[0].startswith(("vol-", "pool-")) and _BUSY.search(done.err)
            if not busy or attempt == ATTEMPTS - 1:
                break
            self.tools.sleep(1 + attempt)
        return done

    def must(self, *words: str, timeout_s: float = 120) -> str:
        """Run a command of virsh and return what it says; ScriptError with its own words where it fails."""
        done = self.ask(*words, timeout_s=timeout_s)
        if done.status != 0:
            raise ScriptError(f"{self.vm}: virsh -c {self.uri} {' '.join(words)} failed: {done.last}")
        return done.out

    def state(self) -> str | None:
        """Return the VM's state in libvirt's words (running, shut off, paused, ...), or None where it is not defined.

        Raises ScriptError where libvirt does not answer.
        """
        done = self.ask("domstate", self.uuid)
        if done.status == 0:
            return done.out.strip()
        if "failed to get domain" in done.err or "Domain not found" in done.err:
            return None
        raise ScriptError(
            f"{self.vm}: libvirt at {self.uri} does not answer: {done.last}; try: virsh -c {self.uri} list"
        )

    @property
    def missing(self) -> str:
        """What to say where the VM is not defined."""
        return (
            f"{self.vm} is not defined at {self.uri}; if it was deleted behind the program's back, tell the engine:"
            " pulumi refresh, and then run the update again"
        )


def carry_out(work: Callable[[Tools, Mapping[str, str]], str]) -> int:
    """Run a script's work on this process's environment; print what it returns, or its error; return the status."""
    try:
        print(work(Tools(), os.environ))
    except ScriptError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
