"""Which engine is at work: the process that a lease is taken under, and whether it still runs.

Only this machine's own processes can be judged, and only those that /proc shows: leases are for stacks that are updated
from one machine, and not from containers that do not see each other's processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cluster.leases.book import Lease, Update

ENGINE = "pulumi"
"""Name of the engine's process; plugins and language hosts have longer names."""

PROC = Path("/proc")
_FIRST_NAMESPACE = "pid:[4026531836]"
_DEAD = frozenset("ZXx")

State = Literal["running", "over", "unknown"]


@dataclass(frozen=True)
class _Process:
    name: str
    state: str
    parent: int
    start: int


def running_update(proc: Path = PROC) -> Update | None:
    """Return the outermost engine process above this one, or None where there is none: taken by hand."""
    try:
        pid = int((proc / "self").readlink().name)
        boot = _boot(proc)
    except OSError:
        return None
    found: Update | None = None
    while pid and (process := _process(proc, pid)):
        if process.name == ENGINE:
            found = Update(boot, pid, process.start)
        pid = process.parent
    return found


def command_line(update: Update, proc: Path = PROC) -> list[str]:
    """Return the words that an engine was started with; none where they cannot be read."""
    try:
        return (proc / str(update.pid) / "cmdline").read_text(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return []


def state_of(update: Update, proc: Path = PROC) -> State:
    """Return whether an update still runs; unknown where its processes cannot be seen from here.

    A process that is dead and only waits to be reaped can change nothing any more: that update is over.
    """
    try:
        here = _boot(proc)
    except OSError:
        return "unknown"
    if update.boot.partition("/")[0] != here.partition("/")[0]:
        return "over"  # the machine has been booted since
    if update.boot != here:
        return "unknown"
    process = _process(proc, update.pid)
    if process is None:
        return "unknown" if _is_hidden(update.pid) else "over"
    return "over" if process.start != update.start or process.state in _DEAD else "running"


def ended(leases: Iterable[Lease], proc: Path = PROC) -> frozenset[Update]:
    """Return the updates of these leases that are over."""
    updates = {lease.update for lease in leases if lease.update is not None}
    return frozenset(each for each in updates if state_of(each, proc) == "over")


def _boot(proc: Path) -> str:
    boot = (proc / "sys/kernel/random/boot_id").read_text().strip()
    space = str((proc / "self/ns/pid").readlink())
    return boot if space == _FIRST_NAMESPACE else f"{boot}/{space.strip('pid:[]')}"


def _process(proc: Path, pid: int) -> _Process | None:
    """Return what proc(5) says in ``stat``; the name stands in brackets and may itself hold any character."""
    try:
        text = (proc / str(pid) / "stat").read_text(errors="replace")
        head, _, tail = text.rpartition(")")
        fields = tail.split()
        return _Process(head.partition("(")[2], fields[0], int(fields[1]), int(fields[19]))
    except (OSError, ValueError, IndexError):
        return None


def _is_hidden(pid: int) -> bool:
    """Whether a process exists that /proc does not show (mount option hidepid, another user's process)."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True
