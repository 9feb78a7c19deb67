"""The nearest plan that fits: what to change in the settings so that the hosts can carry it.

In this order, and no further than needed: other GPU addresses, GPU workers without a card dropped, workers and then
control planes made smaller, fewer machines, and last a plan on CPUs only. Each host is mended by itself; no VM moves to
another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cluster.budget.demand import GpuDemand, VmDemand, demands_from
from cluster.budget.findings import Finding, refusals
from cluster.budget.gpus import Free, faults_of, functions_of, usable_gpus
from cluster.budget.limits import HostLimits, limits_from
from cluster.budget.plan import HostPlan
from cluster.budget.shrink import Room, room_for, shrink
from cluster.budget.verdict import judge
from cluster.host.model import HostFacts
from cluster.settings.model import Gpu, Machine, Model, Settings
from cluster.types import format_mib


@dataclass(frozen=True)
class Change:
    """One change to the settings, its path as in the file (machines[2].memory); ``after`` None: it goes away."""

    path: str
    before: object
    after: object
    why: str


class NearestFit(list[Change]):
    """The changes that lead to a plan that fits; empty where the plan fits as it is.

    Where nothing fits, ``fits`` is False, ``reasons`` says why, and the one change in the list says so too.
    """

    def __init__(self, changes: Iterable[Change], settings: Settings, reasons: Iterable[str] = ()) -> None:
        super().__init__(changes)
        self.settings = settings
        self.reasons = list(reasons)

    @property
    def fits(self) -> bool:
        """Whether ``settings`` is a plan that the verdict passes."""
        return not self.reasons


def nearest_fit(
    settings: Settings,
    facts: Mapping[str, HostFacts],
    owner: str = "",
    limits: Mapping[str, HostLimits] | None = None,
) -> NearestFit:
    """Return the changes, few and small, that make a plan pass the verdict on these hosts; ``owner`` as for judge.

    ``limits`` left out: those that the settings alone say, without leases.
    """
    limits = limits or limits_from(settings)
    first = refusals(judge(demands_from(settings), facts, limits, owner))
    if not first:
        return NearestFit([], settings)
    kept: dict[int, Machine] = {}
    for host, planned in _by_host(settings).items():
        if host in facts and host in limits:
            kept |= _on_host(HostPlan(facts[host], (), limits[host], owner, host), planned, settings)
    kept = _quorum(kept)
    fitted = settings.model_copy(update={"machines": tuple(kept[index] for index in sorted(kept))})
    fitted = fitted.model_copy(update={"models": _models(settings, fitted.gpu_count)})
    again = refusals(judge(demands_from(fitted), facts, limits, owner))
    if again or _roles(settings) != _roles(fitted):
        reasons = [str(finding) for finding in again or first]
        why = "nothing fits: " + " / ".join(reasons)
        return NearestFit([Change("machines", f"{len(settings.machines)} machines", None, why)], settings, reasons)
    return NearestFit(_changes(settings, fitted, kept, first), fitted)


def _by_host(settings: Settings) -> dict[str, dict[int, Machine]]:
    planned: dict[str, dict[int, Machine]] = {}
    for index, machine in enumerate(settings.machines):
        planned.setdefault(_host(settings, machine), {})[index] = machine
    return planned


def _host(settings: Settings, machine: Machine) -> str:
    return machine.host or settings.hosts[0].name


def _roles(settings: Settings) -> set[bool]:
    """Which of the two kinds a plan has: control planes (True), workers of any sort (False)."""
    return {machine.role == "control-plane" for machine in settings.machines}


def _on_host(plan: HostPlan, planned: Mapping[int, Machine], settings: Settings) -> dict[int, Machine]:
    """Return the machines that a host can carry, changed as little as needed; none where the host is at fault."""
    room = room_for(plan)
    if room is None:
        return {}
    machines = _renamed(plan, planned, settings)
    fitted = shrink(_with_cards(plan, machines), room)
    had_worker = any(machine.role != "control-plane" for machine in machines.values())
    if had_worker and all(machine.role == "control-plane" for machine in fitted.values()):
        return _cpu_only(machines, room)
    return fitted


def _cpu_only(machines: Mapping[int, Machine], room: Room) -> dict[int, Machine]:
    """Return the control planes and one worker, without GPUs; a GPU worker becomes a plain one if there is no other."""
    worker = min(
        (index for index, machine in machines.items() if machine.role != "control-plane"),
        key=lambda index: (machines[index].role != "worker", index),
    )
    chosen = {index: machine for index, machine in machines.items() if machine.role == "control-plane"}
    chosen[worker] = machines[worker].model_copy(update={"role": "worker", "gpus": ()})
    while chosen and not (fitted := shrink(chosen, room)).keys() >= {worker}:
        controls = [index for index in chosen if index != worker]
        if len(controls) <= 1:
            return {}
        del chosen[controls[-1]]
    return fitted


def _quorum(kept: dict[int, Machine]) -> dict[int, Machine]:
    """Drop one control plane where an even number is left: two of them stop when one does."""
    control = [index for index, machine in sorted(kept.items()) if machine.role == "control-plane"]
    dropped = control[-1] if control and len(control) % 2 == 0 else None
    return {index: machine for index, machine in kept.items() if index != dropped}


def _models(settings: Settings, gpu_count: int) -> tuple[Model, ...]:
    """Return the models whose GPUs, at their smallest number of replicas, are there; the file's order decides."""
    kept: list[Model] = []
    for model in settings.models:
        wanted = model.gpus * max(model.min_replicas, 1)
        if wanted <= gpu_count:
            gpu_count -= wanted
            kept.append(model)
    return tuple(kept)


def _renamed(plan: HostPlan, planned: Mapping[int, Machine], settings: Settings) -> dict[int, Machine]:
    """Give another name to a machine whose name a VM of someone else has, or an earlier machine of the plan."""
    used = {domain.name for domain in plan.facts.domains if domain.owner != plan.owner}
    avoid = used | {machine.name for machine in settings.machines}
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


def _with_cards(plan: HostPlan, machines: Mapping[int, Machine]) -> dict[int, Machine]:
    """Keep each GPU that passes, swap each other one for a free card, drop a machine for which no card is left."""
    if not any(machine.gpus for machine in machines.values()):
        return dict(machines)
    if plan.facts.iommu is not True:
        return {index: machine for index, machine in machines.items() if not machine.gpus}
    good = _good_gpus(plan, machines)
    spare = list(usable_gpus(plan, {address for _, functions in good.values() for address in functions}))
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


def _good_gpus(plan: HostPlan, machines: Mapping[int, Machine]) -> dict[tuple[int, int], tuple[Gpu, tuple[str, ...]]]:
    """Return the GPUs that may stay where they are, by machine and place, each with the functions that move with it."""
    free = Free(plan)
    taken: set[str] = set()
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


def _changes(
    settings: Settings, fitted: Settings, kept: Mapping[int, Machine], first: Sequence[Finding]
) -> list[Change]:
    found: list[Change] = []
    for index, machine in enumerate(settings.machines):
        found += _machine_changes(
            f"machines[{index}]", machine, kept.get(index), _Why(first, _host(settings, machine), machine)
        )
    for index, model in enumerate(settings.models):
        if model not in fitted.models:
            why = f"it wants {model.gpus} GPU(s) a replica, the plan that fits has {fitted.gpu_count} for all models"
            found.append(Change(f"models[{index}]", model.name, None, why))
    return found


def _machine_changes(path: str, before: Machine, after: Machine | None, why: _Why) -> list[Change]:
    if after is None:
        return [Change(path, before.name, None, why("gpu", "insufficient", ""))]
    found: list[Change] = []
    if after.name != before.name:
        found.append(Change(f"{path}.name", before.name, after.name, why("vm-")))
    if after.role != before.role:
        found.append(Change(f"{path}.role", before.role, after.role, why("gpu", "iommu", "insufficient-gpus", "")))
    if after.role != before.role and before.gpus:
        addresses = ", ".join(gpu.address for gpu in before.gpus)
        found.append(Change(f"{path}.gpus", addresses, None, why("gpu", "iommu", "insufficient-gpus", "")))
    for place, (old, new) in enumerate(zip(before.gpus, after.gpus, strict=False)):
        found += _card_changes(f"{path}.gpus[{place}]", old, new, why)
    if after.cores != before.cores:
        found.append(Change(f"{path}.cores", before.cores, after.cores, why("insufficient-cpu")))
    for field, code in (("memory", "insufficient-ram"), ("disk", "insufficient-disk")):
        old_size, new_size = int(getattr(before, field)), int(getattr(after, field))
        if old_size != new_size:
            found.append(Change(f"{path}.{field}", format_mib(old_size), format_mib(new_size), why(code)))
    return found


def _card_changes(path: str, before: Gpu, after: Gpu, why: _Why) -> list[Change]:
    """Return what names another card; the identity that the settings give the old one would be refused with it."""
    if before == after:
        return []
    named = [(field, getattr(before, field)) for field in ("serial", "uuid")]
    return [
        Change(f"{path}.address", before.address, after.address, why("gpu")),
        *(Change(f"{path}.{field}", value, None, why("gpu")) for field, value in named if value),
    ]


@dataclass(frozen=True)
class _Why:
    """Finds the refusal that made a change to a machine needed."""

    first: Sequence[Finding]
    host: str
    machine: Machine

    def __call__(self, *codes: str) -> str:
        """Return the message of the first refusal of this machine or its host whose code begins with one of these."""
        mine = [each for each in self.first if each.vm == self.machine.name and each.host == self.host]
        shared = [each for each in self.first if each.vm is None and each.host == self.host]
        for code in codes:
            for finding in (*mine, *shared, *self.first):
                if finding.code.startswith(code):
                    return finding.message
        return "the rest of the plan that fits has no place for it"
