"""Make a host's machines smaller and fewer until they fit into what is left of the host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cluster.budget.capacity import capacity
from cluster.budget.demand import VmDemand
from cluster.budget.findings import refusals
from cluster.budget.hardware import hardware
from cluster.budget.plan import HostPlan
from cluster.settings.model import Machine
from cluster.types import MIB_PER_GIB, mib

SMALLEST = {
    "control-plane": {"cores": 2, "memory": 4 * MIB_PER_GIB, "disk": 40 * MIB_PER_GIB},
    "worker": {"cores": 2, "memory": 4 * MIB_PER_GIB, "disk": 40 * MIB_PER_GIB},
    "gpu-worker": {"cores": 2, "memory": 4 * MIB_PER_GIB, "disk": 40 * MIB_PER_GIB},
}
"""What a machine of a role is never shrunk below: cores, MiB of memory, MiB of disk."""

_STEP = {"cores": 1, "memory": MIB_PER_GIB, "disk": MIB_PER_GIB}
_DROP_FIRST = ("worker", "gpu-worker", "control-plane")


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


def shrink(machines: Mapping[int, Machine], room: Room) -> dict[int, Machine]:
    """Return the machines that fit: all if they can, each as large as it can be; else without the last workers."""
    kept = dict(machines)
    for index in _drop_order(machines):
        if _fits(kept.values(), room):
            break
        del kept[index]
    for resource in _STEP:
        kept = _scaled(kept, resource, getattr(room, resource))
    return kept


def _drop_order(machines: Mapping[int, Machine]) -> list[int]:
    return sorted(machines, key=lambda index: (_DROP_FIRST.index(machines[index].role), -index))


def _least(machine: Machine, resource: str) -> int:
    return min(int(getattr(machine, resource)), SMALLEST[machine.role][resource])


def _fits(machines: Iterable[Machine], room: Room) -> bool:
    machines = list(machines)
    return all(sum(_least(each, resource) for each in machines) <= getattr(room, resource) for resource in _STEP)


def _scaled(machines: Mapping[int, Machine], resource: str, room: int) -> dict[int, Machine]:
    """Take the excess of one resource from the workers, in proportion to what they can give, then from the rest."""
    sizes = {index: int(getattr(machine, resource)) for index, machine in machines.items()}
    excess = sum(sizes.values()) - room
    workers = [index for index, machine in machines.items() if machine.role != "control-plane"]
    control = [index for index in machines if index not in set(workers)]
    for tier in (workers, control):
        left = sum(sizes[index] - _least(machines[index], resource) for index in tier)
        for index in tier:
            spare = sizes[index] - _least(machines[index], resource)
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
