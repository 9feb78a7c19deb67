"""Which engine is at work: the process that a lease is taken under, and whether it or a plugin of its still runs.

An engine that is killed leaves its libvirt plugin in the middle of what it was told to make; the plugin looks for its
engine only every few minutes. So an update is over once no such orphan runs that is younger than it.
Only this machine's own processes can be judged, and only those that /proc shows: leases are for stacks that are updated
from one machine, and not from containers that do not see each other's processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cluster.leases.book import Lease, Update

ENGINE = "pulumi"
"""Name of the engine's process; plugins and language hosts have longer names."""

PLUGIN = "pulumi-resource-libvirt"
"""The plugin that makes VMs. The kernel keeps the first 15 letters of a process's name, which all plugins share."""

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
    """Return whether an update still runs, by its engine or an orphan; unknown where these cannot be seen from here.

    A process that is dead and only waits to be reaped can change nothing any more: that update is over.
    """
    state = _engine(update, proc)
    return "running" if state == "dead" and _left(update, _orphans(proc)) else "over" if state == "dead" else state


def ended(leases: Iterable[Lease], proc: Path = PROC) -> frozenset[Update]:
    """Return the updates of these leases that are over."""
    states = {lease.update: _engine(lease.update, proc) for lease in leases if lease.update is not None}
    # After the engines: one that has just died may have left a plugin that was not there before.
    orphans = _orphans(proc) if "dead" in states.values() else []
    over = {update for update, state in states.items() if state == "over"}
    return frozenset(over | {each for each, state in states.items() if state == "dead" and not _left(each, orphans)})


def _engine(update: Update, proc: Path) -> State | Literal["dead"]:
    """Return how an update's engine is: dead, if it is gone and a plugin of its may not be."""
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
        return "unknown" if _is_hidden(update.pid) else "dead"
    return "dead" if process.start != update.start or process.state in _DEAD else "running"


def _left(update: Update, orphans: Iterable[int]) -> bool:
    """Whether one of these plugins, by their starts, may be an update's."""
    return any(start >= update.start for start in orphans)


def _orphans(proc: Path) -> list[int]:
    """Return when those libvirt plugins were started that have no engine above them any more."""
    found = []
    for folder in proc.glob("[0-9]*"):
        process = _process(proc, int(folder.name))
        if process is None or process.name != PLUGIN[:15] or process.state in _DEAD or not _is_plugin(folder):
            continue
        if not any(each.name == ENGINE and each.state not in _DEAD for each in _above(proc, process)):
            found.append(process.start)
    return found


def _above(proc: Path, process: _Process) -> Iterator[_Process]:
    while process.parent and (above := _process(proc, process.parent)):
        process = above
        yield process


def _is_plugin(folder: Path) -> bool:
    """Whether a process with a plugin's name is the libvirt plugin, or does not say which it is."""
    try:
        program = (folder / "cmdline").read_text(errors="replace").partition("\0")[0].rpartition("/")[2]
    except OSError:
        return True
    return not program.startswith("pulumi-resource-") or program.startswith(PLUGIN)


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
