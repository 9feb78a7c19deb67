"""What a host can give the machines of a plan: names that nobody has, and GPUs that are free and fit."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from cluster.budget.demand import GpuDemand, VmDemand
from cluster.budget.findings import refusals
from cluster.budget.gpus import Free, faults_of, functions_of, usable_gpus
from cluster.budget.plan import HostPlan
from cluster.settings.model import Gpu, Machine


def renamed(plan: HostPlan, planned: Mapping[int, Machine], names: Collection[str]) -> dict[int, Machine]:
    """Give another name to a machine whose name a VM of someone else has, or an earlier machine of the plan.

    ``names`` are those of all machines of the plan, on whatever host.
    """
    used = {domain.name for domain in plan.facts.domains if domain.owner != plan.owner}
    avoid = used | set(names)
    result: dict[int, Machine] = {}
    for index, machine in planned.items():
        name, number = machine.name, 2
        while name in used:
            name = f"{machine.name[:34]}-{number}"
            name, number = (machine.name if name in avoid else name), number + 1
        used.add(name)
        avoid.add(name)
        result[index] = machine if name == machine.name else machine.model_copy(update={"name": name})
    return result


def with_cards(plan: HostPlan, machines: Mapping[int, Machine], taken: Collection[str]) -> dict[int, Machine]:
    """Keep each GPU that passes, swap each other one for a free card, drop a machine for which no card is left.

    ``taken`` are cards that a lease, or what was seen of them before, keeps from this plan.
    """
    if not any(machine.gpus for machine in machines.values()):
        return dict(machines)
    if plan.facts.iommu is not True:
        return {index: machine for index, machine in machines.items() if not machine.gpus}
    good = _good_gpus(plan, machines, taken)
    moving = {address for _, functions in good.values() for address in functions}
    spare = list(usable_gpus(plan, moving | set(taken)))
    room = len(plan.gpus) - sum(address in plan.gpus for vm in plan.running_others for address in vm.hostdevs)
    result: dict[int, Machine] = {}
    for index, machine in machines.items():
        kept = [good.get((index, place)) for place in range(len(machine.gpus))]
        if kept.count(None) > len(spare) or len(kept) > room:
            continue
        room -= len(kept)
        gpus = tuple(each[0] if each else Gpu(address=spare.pop(0).address, siblings="auto") for each in kept)
        result[index] = machine if gpus == machine.gpus else machine.model_copy(update={"gpus": gpus})
    return result


def without_cards(machine: Machine) -> Machine:
    """Return a GPU worker as a plain one."""
    return machine.model_copy(update={"role": "worker", "gpus": (), "mmio_window": "auto"}) if machine.gpus else machine


def _good_gpus(
    plan: HostPlan, machines: Mapping[int, Machine], avoid: Collection[str]
) -> dict[tuple[int, int], tuple[Gpu, tuple[str, ...]]]:
    """Return the GPUs that may stay where they are, by machine and place, each with the functions that move with it."""
    free = Free(plan)
    taken: set[str] = set(avoid)
    good: dict[tuple[int, int], tuple[Gpu, tuple[str, ...]]] = {}
    for index, machine in machines.items():
        demand = VmDemand(machine.name, plan.host, 0, 0)
        for place, gpu in enumerate(machine.gpus):
            wanted = GpuDemand(gpu.address, gpu.siblings)
            functions = functions_of(plan.facts, wanted)
            if (
                gpu.address in plan.gpus
                and not taken & set(functions)
                and not refusals(faults_of(plan, demand, wanted, free))
            ):
                good[index, place] = (gpu, functions)
                taken |= set(functions)
    return good
