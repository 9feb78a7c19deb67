"""One step of a stack at a time, also after a run that was killed: what of that is still at work is waited for.

The lock is a descriptor that Ansible inherits, so it is held until the last of its processes has let go of it, whoever
was killed. A killed step takes Ansible's main process with it (``cluster.ansible.run``), and so no further task begins;
its workers stay, each with the task that it has under way on a node. The next run waits for these. A worker with
nothing under way, that only waits to try again or to hand its result to nobody, is ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.ansible.run import inherited
from cluster.steps.errors import StepError

LOCK = "steps.lock"
_PROC = Path("/proc")
_WORKER = b"ansible-playbook"


@dataclass(frozen=True)
class Wait:
    """How long to wait for another run, how often to look, how often to say so; seconds."""

    most: float = 900.0
    every: float = 0.5
    say_every: float = 20.0


@contextmanager
def turn(run_dir: Path, step: str, say: Callable[[str], None], wait: Wait = Wait()) -> Iterator[None]:
    """Hold the stack's lock while a step runs. Raises StepError where another run does not end in time."""
    run_dir.mkdir(parents=True, exist_ok=True)
    path = run_dir / LOCK
    number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _take(number, path, say, wait)
        os.truncate(number, 0)
        os.pwrite(number, f"{os.getpid()} {step}\n".encode(), 0)
        with inherited(number):
            yield
    finally:
        os.close(number)


def _take(number: int, path: Path, say: Callable[[str], None], wait: Wait) -> None:
    until, told = time.monotonic() + wait.most, -wait.say_every
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        others = holders(path)
        owner, _, step = path.read_text(encoding="utf-8").strip().partition(" ")
        if owner in map(str, others):
            who = f"process {owner}, which runs the step {step} of this stack"
        else:
            others = [each for each in others if not _ended(each)]
            shown = ", ".join(map(str, others)) or "that is about to end"
            who = f"process {shown} of an earlier run, whose task on a node is still under way"
        if time.monotonic() >= until:
            raise StepError(
                f"{who}, has not ended for {wait.most:.0f} s; nothing was begun. Wait for it, or end it"
                f" (kill {' '.join(map(str, others))}), then run the same again"
            )
        if time.monotonic() - told >= wait.say_every:
            told = time.monotonic()
            say(f"waiting for {who}")
        time.sleep(wait.every)


def holders(path: Path) -> list[int]:
    """Return the processes, but for this one, that have a file open: each holds its lock, whoever took it."""
    wanted = path.stat()
    found = []
    for process in _PROC.iterdir():
        if not process.name.isdigit() or process.name == str(os.getpid()):
            continue
        # One that has ended meanwhile, or belongs to somebody else, has nothing of ours.
        with contextlib.suppress(OSError):
            if any(_same(each, wanted) for each in (process / "fd").iterdir()):
                found.append(int(process.name))
    return sorted(found)


def _same(descriptor: Path, wanted: os.stat_result) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samestat(descriptor.stat(), wanted)
    return False


def _ended(pid: int) -> bool:
    """End a worker of Ansible's that has nothing under way; return whether this was one."""
    with contextlib.suppress(OSError):
        process = _PROC / str(pid)
        idle = not any((task / "children").read_text().strip() for task in (process / "task").iterdir())
        if idle and _WORKER in (process / "cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
            return True
    return False
