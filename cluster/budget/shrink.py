"""Make a host's machines smaller and fewer until they fit into what is left of the host."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from cluster.budget.capacity import capacity
from cluster.budget.demand import VmDemand
from cluster.budget.findings import refusals
from cluster.budget.hardware import hardware
from cluster.budget.plan import HostPlan
from cluster.settings.model import Machine
from cluster.types import MIB_PER_GIB, mib

RESOURCES = ("cores", "memory", "disk")
SMALLEST = {"cores": 2, "memory": 4 * MIB_PER_GIB, "disk": 40 * MIB_PER_GIB}
"""What a machine is never shrunk below: cores, MiB of memory, MiB of disk. One that is planned smaller stays so."""

Least = Mapping[int, Mapping[str, int]]
"""By a machine's index: the least of each resource that it may be shrunk to."""

_STEP = {"cores": 1, "memory": MIB_PER_GIB, "disk": MIB_PER_GIB}


@dataclass(frozen=True)
class Room:
    """What of a host is left for the plan: cores, MiB of memory, MiB of disk in the stack's pool."""

    cores: int
    memory: int
    disk: int


def room_for(plan: HostPlan) -> Room | None:
    """Return what others and the reserve leave of a host; None where the host carries no VM at all."""
    pool_name = next(iter(plan.limits.pools), "")
    nothing = VmDemand("", plan.host, 0, 0, {pool_name: 0})
    empty = HostPlan(plan.facts, (nothing,), plan.limits, plan.owner, plan.name)
    pool = plan.pool(pool_name)
    if refusals([*hardware(empty), *capacity(empty)]) or pool is None:
        return None
    cores = int((plan.facts.cpu.cores or 0) * plan.limits.vcpus_per_core)
    return Room(
        cores=cores - plan.limits.reserve_cores - sum(vm.cores for vm in plan.running_others),
        memory=int(plan.facts.memory or 0)
        - plan.limits.reserve_memory_mib
        - sum(int(vm.memory) for vm in plan.running_others),
        disk=int(pool.capacity or 0) - int(pool.allocated or 0) - plan.limits.reserve_disk_mib,
    )


def least_of(
    machines: Mapping[int, Machine], floors: Mapping[str, Mapping[str, int]], standing: Collection[str]
) -> Least:
    """Return what each machine may be shrunk to.

    ``floors``: role -> resource -> what its pods need. A VM in ``standing`` is there, and a disk never shrinks.
    """
    found = {}
    for index, machine in machines.items():
        floor = floors.get(machine.role, {})
        least = {each: max(SMALLEST[each], floor.get(each, 0)) for each in RESOURCES}
        if machine.name in standing:
            least["disk"] = int(machine.disk)
        found[index] = {each: min(int(getattr(machine, each)), size) for each, size in least.items()}
    return found


def fewest(machines: Mapping[int, Machine], room: Room, least: Least) -> set[int]:
    """Return the indexes of the machines that stay where all of them, as small as they may be, do not fit.

    They go from the last one up: workers without GPUs, then GPU workers but one, then control planes but one. What is
    left then is the smallest cluster; where even that does not fit, its worker goes, and then the control plane. Those
    for which there is room all the same once it fits come back.
    """
    kept = set(machines)
    gone: list[int] = []
    for index in _leaving(machines):
        if _fits(kept, room, least):
            break
        kept.remove(index)
        gone.append(index)
    for index in gone:
        if _fits(kept | {index}, room, least):
            kept.add(index)
    return kept


def _fits(indexes: set[int], room: Room, least: Least) -> bool:
    return all(sum(least[index][each] for index in indexes) <= getattr(room, each) for each in RESOURCES)


def scaled(machines: Mapping[int, Machine], room: Room, least: Least) -> dict[int, Machine]:
    """Return the machines, each as large as it can be: the excess of a resource is taken from the workers first."""
    found = dict(machines)
    for resource in RESOURCES:
        found = _scaled(found, resource, getattr(room, resource), least)
    return found


def _leaving(machines: Mapping[int, Machine]) -> Iterator[int]:
    def of(role: str) -> list[int]:
        return sorted((index for index, machine in machines.items() if machine.role == role), reverse=True)

    control, plain, gpu = of("control-plane"), of("worker"), of("gpu-worker")
    last = gpu or plain
    yield from plain if gpu else ()
    yield from last[:-1]
    yield from control[:-1]
    yield from last[-1:]
    yield from control[-1:]


def _scaled(machines: Mapping[int, Machine], resource: str, room: int, least: Least) -> dict[int, Machine]:
    """Take the excess of one resource from the workers, in proportion to what they can give, then from the rest."""
    sizes = {index: int(getattr(machine, resource)) for index, machine in machines.items()}
    excess = sum(sizes.values()) - room
    workers = [index for index, machine in machines.items() if machine.role != "control-plane"]
    control = [index for index in machines if index not in set(workers)]
    for tier in (workers, control):
        left = sum(sizes[index] - least[index][resource] for index in tier)
        for index in tier:
            spare = sizes[index] - least[index][resource]
            if excess <= 0 or spare <= 0:
                continue
            share = -(-min(excess, left) * spare // left)
            left -= spare
            step = _STEP[resource]
            size = max(sizes[index] - spare, (sizes[index] - share) // step * step)
            excess -= sizes[index] - size
            sizes[index] = size
    return {
        index: machine
        if sizes[index] == getattr(machine, resource)
        else machine.model_copy(update={resource: sizes[index] if resource == "cores" else mib(f"{sizes[index]}MiB")})
        for index, machine in machines.items()
    }
