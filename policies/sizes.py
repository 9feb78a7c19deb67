"""Sizes of VMs that stand: the provider leaves them alone, a command sets them, so the command is held to the plan.

A VM whose ``vcpu`` and ``memory`` the engine ignores changes of exists, and keeps what it has; what the engine shows of
them is what they were when it was made. The size that it gets stands in the environment of its size command, and that
is what is compared with the announcement and added up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from policies.hosts import HostUnreadableError, Supply, UnreadableError, host_of
from policies.model import UNKNOWN, Plan, Resource, Violation, reveal

COMMAND = "command:local:Command"
VOLUME = "libvirt:index/volume:Volume"
KEYS = ("VM", "CORES", "MEMORY_MIB", "DISK_MIB")
_REMEDY = "give cloud:foundation:Host a plan with the same VM (prop plan)"


@dataclass(frozen=True)
class Size:
    """What a size command gives its VM."""

    vm: str
    cores: int
    memory_mib: int
    disk_mib: int

    def __str__(self) -> str:
        return f"{self.cores} vCPUs, {self.memory_mib} MiB and {self.disk_mib} MiB of disk"


def keeps_size(domain: Resource) -> bool:
    """Whether a VM stands and keeps its vCPUs and memory, whatever its inputs say."""
    return {"vcpu", "memory"} <= domain.ignores


def size_of(command: Resource) -> Size | None:
    """Return what a command gives a VM, or None where it is no size command. Raises UnreadableError for an unknown."""
    environment = reveal(command.props.get("environment"))
    if not isinstance(environment, Mapping) or not environment.keys() >= set(KEYS):
        return None
    values = [environment[key] for key in KEYS]
    if UNKNOWN in values:
        raise UnreadableError(
            f"{command.name}: a size is not known before the update, so nobody can tell whether its host has room;"
            " pass plain values, not outputs"
        )
    try:
        return Size(str(values[0]), *(int(str(value)) for value in values[1:]))
    except ValueError:
        raise UnreadableError(f"{command.name}: a size is no number; write CORES, MEMORY_MIB and DISK_MIB") from None


def sizes_of(plan: Plan) -> dict[str, Size]:
    """Return the size of each VM that a command sets, by the URN of the Machine both belong to."""
    found: dict[str, Size] = {}
    for command in plan.of(COMMAND):
        try:
            size = size_of(command)
        except UnreadableError:
            continue  # said when it was registered
        if size and command.parent:
            found[command.parent] = size
    return found


def unannounced_size(command: Resource, plan: Plan) -> Iterator[Violation]:
    """Report a size command that gives a VM another size than its host was judged with, or less disk than it has."""
    try:
        size = size_of(command)
        if size is None:
            return
        supply = host_of(command, plan)
    except HostUnreadableError:
        return
    except UnreadableError as error:
        yield Violation(str(error))
        return
    yield from _unlike(size, supply)
    yield from _shrinks(size, command, plan)


def _unlike(size: Size, supply: Supply) -> Iterator[Violation]:
    expected = supply.announced.get(size.vm)
    if expected is None:
        yield Violation(
            f"vm {size.vm} is not in the plan of host {supply.name}, which was judged without it; {_REMEDY}"
        )
        return
    judged = Size(size.vm, expected.cores, expected.memory_mib, expected.disk_mib)
    if size != judged:
        yield Violation(f"vm {size.vm} gets {size}, but host {supply.name} was judged with {judged}; {_REMEDY}")


def _shrinks(size: Size, command: Resource, plan: Plan) -> Iterator[Violation]:
    """The disk's own size is what it was when it was made, or what a refresh found: it may have grown since."""
    for volume in plan.of(VOLUME):
        made = reveal(volume.props.get("size"))
        if volume.parent != command.parent or "size" not in volume.ignores or not isinstance(made, int | float):
            continue
        have = int(made) // (1024 * 1024)
        if have > size.disk_mib:
            yield Violation(
                f"vm {size.vm} has a disk of {have} MiB, {size.disk_mib} MiB are planned: a disk never shrinks, it"
                f" would lose what lies beyond; plan {have} MiB or more, or a smaller VM under another name"
            )
