"""Server processes: started, asked until they answer, killed, started again, ended; by pid, never by name."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.services.problems import ServicesError

READY_S = 240.0
"""Seconds until a server has to answer: MLflow's imports alone take ten on a machine that is idle."""
END_S = 30.0
PAUSE_S = 0.2


@dataclass(frozen=True)
class Process:
    """One server: its command, all of its environment, the user that it runs as (None: whoever starts it).

    ``ready`` asks it once, and returns None where it answers as it should, or why not.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    ready: Callable[[], str | None]
    user: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM


@dataclass(frozen=True)
class Started:
    """A process that was started: its pid, which is its group's too, and when, by which a later one is told apart."""

    pid: int
    began: str

    @property
    def alive(self) -> bool:
        """Whether it still runs, and is not another process under its number."""
        return began(self.pid) == self.began


class Processes:
    """The servers of one stack, by name. ``tied``: they end with this process, however it ends."""

    def __init__(self, logs: Path, *, tied: bool = True) -> None:
        self.logs = logs
        self.tied = tied
        self.known: dict[str, Process] = {}
        self.started: dict[str, Started] = {}
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def add(self, process: Process) -> None:
        """Make a server known, without starting it."""
        self.known[process.name] = process

    def start(self, name: str, *, wait: bool = True) -> None:
        """Start a server and wait until it answers. Raises ServicesError with the end of its log."""
        process = self.known[name]
        if name in self.started and self.started[name].alive:
            raise ServicesError(f"{name} runs already, as process {self.started[name].pid}")
        with self.log(name).open("ab") as log:
            child = subprocess.Popen(
                [*self._wrapping(process), *process.command],
                env=dict(process.environment),
                cwd=process.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._children[name] = child
        self.started[name] = Started(child.pid, began(child.pid))
        if wait:
            self.wait(name)

    def wait(self, name: str) -> None:
        """Wait until a started server answers. Raises ServicesError: ended, or silent for too long."""
        process, deadline = self.known[name], time.monotonic() + READY_S
        while True:
            if not self.running(name):
                raise ServicesError(f"{name} ended before it answered: {self._last_words(name)}")
            why = process.ready()
            if why is None:
                return
            if time.monotonic() > deadline:
                raise ServicesError(f"{name} did not answer within {READY_S:.0f} s: {why}; {self._last_words(name)}")
            time.sleep(PAUSE_S)

    def running(self, name: str) -> bool:
        """Whether a server that was started still runs."""
        child = self._children.get(name)
        if child is not None:
            return child.poll() is None
        return name in self.started and self.started[name].alive

    def kill(self, name: str) -> None:
        """End a server as a power cut would: SIGKILL to it and to everything that it started."""
        self._signal(name, signal.SIGKILL)
        self._gone(name)

    def stop(self, name: str) -> None:
        """Ask a server to end, and kill what is left of it when it takes too long."""
        if self.running(name):
            process = self.known.get(name)
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.started[name].pid, process.stop_signal if process else signal.SIGTERM)
            deadline = time.monotonic() + END_S
            while self.running(name) and time.monotonic() < deadline:
                time.sleep(PAUSE_S)
        self.kill(name)

    def stop_all(self) -> None:
        """End every server, the last one started first: none loses what it stands on."""
        for name in reversed(list(self.started)):
            self.stop(name)

    def log(self, name: str) -> Path:
        """Return the file that holds a server's output."""
        return self.logs / f"{name}.log"

    def _signal(self, name: str, number: signal.Signals) -> None:
        # Its session has everything it started; the group outlives the process where workers do.
        started = self.started.get(name)
        if started is None:
            return
        for pid in {started.pid, *_session(started.pid)} if started.alive else _session(started.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _gone(self, name: str) -> None:
        if child := self._children.pop(name, None):
            child.wait()
        started = self.started.pop(name, None)
        while started and (started.alive or _session(started.pid)):
            time.sleep(PAUSE_S)

    def _wrapping(self, process: Process) -> list[str]:
        words = ["--pdeathsig", "KILL"] if self.tied else []
        if process.user:
            words += [f"--reuid={process.user}", f"--regid={process.user}", "--init-groups"]
        return ["setpriv", *words, "--"] if words else []

    def _last_words(self, name: str) -> str:
        lines = self.log(name).read_text(errors="replace").strip().splitlines()[-15:]
        return "\n  ".join([f"log {self.log(name)}", *lines])


def began(pid: int) -> str:
    """Return when a process began, in the kernel's ticks; empty where it runs no more."""
    fields = _stat(pid)
    return "" if not fields or fields[0] == "Z" else fields[19]


def _session(leader: int) -> set[int]:
    """Return the processes of a session that still run; ours are all session leaders, so no other has that number."""
    found = set()
    for folder in Path("/proc").iterdir():
        fields = _stat(int(folder.name)) if folder.name.isdigit() else []
        if fields and fields[0] != "Z" and int(fields[3]) == leader:
            found.add(int(folder.name))
    return found


def _stat(pid: int) -> list[str]:
    # After the name, which is in parentheses and may hold anything: state, parent, group, session, ...
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
