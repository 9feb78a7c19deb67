"""GPUs: is the card there, is it good enough, is it free, and can VFIO move it as planned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from cluster.budget.demand import GpuDemand, VmDemand
from cluster.budget.findings import Finding
from cluster.budget.plan import HostPlan
from cluster.budget.sharing import FLIP, autostart, lent
from cluster.host.model import Domain, GpuFacts, HostFacts, IommuGroup, PciDevice
from cluster.types import MIB_PER_GIB

BRIDGES = frozenset({"bridge", "host-bridge"})
"""Kinds that VFIO leaves alone in a group: root ports and bridges, and host bridges, which no driver binds."""

SHOWN = 3
"""How many free GPUs a remedy offers."""


def gpus(plan: HostPlan) -> list[Finding]:
    """Return what is wrong with the GPUs that the plan's VMs want on this host."""
    if not plan.wants_gpus:
        return []
    free = Free(plan)
    found: list[Finding] = []
    claimed: dict[str, str] = {}
    for demand in plan.demands:
        for gpu in demand.gpus:
            found += faults_of(plan, demand, gpu, free)
            found += _duplicates(plan, demand, gpu, claimed, free)
    return found


def functions_of(facts: HostFacts, gpu: GpuDemand) -> tuple[str, ...]:
    """Return the PCI functions that go to a VM with a GPU: the GPU first, then its siblings in order of address."""
    card = facts.gpu(gpu.address)
    return _functions(gpu, facts.group_of(card) if card else None)


def group_functions(facts: HostFacts, card: GpuFacts) -> tuple[str, ...]:
    """Return the PCI functions of a card's IOMMU group that VFIO moves, sorted; empty where the group is not known."""
    group = facts.group_of(card)
    return tuple(sorted(device.address for device in _movable(group))) if group else ()


def group_fault(group: IommuGroup, gpu: GpuDemand) -> str | None:
    """Return why a GPU cannot move with its IOMMU group as planned, or None."""
    others = {device.address: device for device in _movable(group) if device.address != gpu.address}
    if gpu.siblings == "auto":
        strange = [device for address, device in others.items() if not _same_card(address, gpu.address)]
        if strange:
            return f"IOMMU group {group.id} also holds {_devices(strange)}, which VFIO would take from the host as well"
        return None
    listed = set(gpu.siblings) - {gpu.address}
    left_out = [others[address] for address in sorted(others.keys() - listed)]
    too_many = sorted(listed - others.keys())
    faults = [f"siblings leaves out {_devices(left_out)}"] if left_out else []
    faults += [f"siblings lists {', '.join(too_many)}, not in the group"] if too_many else []
    return f"IOMMU group {group.id} does not match: {'; '.join(faults)}" if faults else None


def usable_gpus(plan: HostPlan, taken: Iterable[str] = ()) -> Iterator[GpuFacts]:
    """Yield the GPUs that a VM could get now: good enough, in a clean group, held by nobody, not in ``taken``."""
    busy = {*taken, *plan.limits.lent}
    for card in plan.facts.gpus:
        gpu = GpuDemand(card.address)
        group = plan.groups.get(card.iommu_group) if card.iommu_group is not None else None
        if card.address in busy or group is None or group_fault(group, gpu) or _too_old(plan, card) is not False:
            continue
        functions = _functions(gpu, group)
        if not any(plan.blocking(address) or address in busy for address in functions):
            yield card


class Free:
    """Names free GPUs for remedies, none of ``taken``; looked up once, and only if a remedy needs it."""

    def __init__(self, plan: HostPlan, taken: Iterable[str] = ()) -> None:
        self._plan = plan
        self._taken = frozenset(taken)
        self._text: str | None = None

    def __str__(self) -> str:
        if self._text is None:
            wanted = {gpu.address for demand in self._plan.demands for gpu in demand.gpus}
            cards = list(islice(usable_gpus(self._plan, self._taken | wanted), SHOWN))
            names = ", ".join(f"{card.address} ({card.model})" for card in cards)
            self._text = f"free on this host: {names}" if names else "no other GPU of this host is free and fit"
        return self._text


def faults_of(plan: HostPlan, demand: VmDemand, gpu: GpuDemand, free: Free) -> list[Finding]:
    """Return what is wrong with one GPU for one VM, whatever the rest of the plan wants."""
    card = plan.gpus.get(gpu.address)
    if card is None:
        return [] if plan.is_unknown("gpus") else [_no_such(plan, demand, gpu, free)]
    return [
        *_age(plan, demand, card, free),
        *_memory(plan, demand, card),
        *_group(plan, demand, gpu, card, free),
        *(held(plan, demand, gpu, free) or lent(plan, demand, gpu)),
        *autostart(plan, demand, gpu, _moving(plan, gpu)),
    ]


def _refusal(plan: HostPlan, demand: VmDemand, code: str, message: str, remedy: str) -> Finding:
    return Finding(code, "refuse", plan.host, demand.name, message, remedy)


def _no_such(plan: HostPlan, demand: VmDemand, gpu: GpuDemand, free: Free) -> Finding:
    there = ", ".join(plan.gpus) or "none"
    return _refusal(
        plan,
        demand,
        "gpu-unknown",
        f"vm {demand.name} wants GPU {gpu.address}, which host {plan.host} does not have (GPUs there: {there})",
        f"{free}; a card added or moved renumbers the others, so look again: cloudctl gpus",
    )


def _too_old(plan: HostPlan, card: GpuFacts) -> bool | None:
    """Whether a card's compute capability is under the minimum; None where it is not known."""
    if card.compute_capability is None:
        return None
    return _version(card.compute_capability) < _version(plan.limits.min_compute_capability)


def _age(plan: HostPlan, demand: VmDemand, card: GpuFacts, free: Free) -> list[Finding]:
    old = _too_old(plan, card)
    if old is None:
        path = f"gpus.{card.address}.compute_capability"
        return [plan.unknown(path, f"the compute capability of GPU {card.address}", demand.name)]
    if not old:
        return []
    message = (
        f"vm {demand.name} wants GPU {card.address} ({card.model}), whose compute capability {card.compute_capability}"
        f" is under {plan.limits.min_compute_capability}"
    )
    return [
        _refusal(plan, demand, "gpu-too-old", message, f"{free}; else take the GPU out of machines[{demand.name}].gpus")
    ]


def _memory(plan: HostPlan, demand: VmDemand, card: GpuFacts) -> list[Finding]:
    need = plan.limits.min_gpu_memory_mib
    if card.memory is not None and int(card.memory) >= need:
        return []
    has = f"has {round(card.memory / MIB_PER_GIB)} GB" if card.memory is not None else "has memory of unknown size"
    wanted = f"{need * 2**20 / 1e9:.0f} GB"
    message = f"GPU {card.address} ({card.model}) of vm {demand.name} {has}; large language models want {wanted}"
    remedy = "serve smaller or quantised models on it, or use a larger card"
    return [Finding("gpu-memory", "warn", plan.host, demand.name, message, remedy)]


def _group(plan: HostPlan, demand: VmDemand, gpu: GpuDemand, card: GpuFacts, free: Free) -> list[Finding]:
    if plan.facts.iommu is False:
        return []  # said once for the host: without an IOMMU there are no groups
    group = plan.groups.get(card.iommu_group) if card.iommu_group is not None else None
    if group is None:
        path = f"iommu_groups.{card.address}"
        return [plan.unknown(path, f"the IOMMU group of GPU {card.address}", demand.name)]
    fault = group_fault(group, gpu)
    if not fault:
        return []
    clean = (
        "set siblings: auto" if gpu.siblings != "auto" else "move the card to a slot with a group of its own (ACS on)"
    )
    exact = ", ".join(sorted(device.address for device in _movable(group) if device.address != gpu.address)) or "auto"
    mend = f"{clean}, or list the whole group in siblings if the host can spare it: {exact}"
    return [
        _refusal(
            plan,
            demand,
            "gpu-group",
            f"vm {demand.name} cannot get GPU {gpu.address} cleanly: {fault}",
            f"{free}; or {mend}",
        )
    ]


def held(plan: HostPlan, demand: VmDemand, gpu: GpuDemand, free: Free) -> list[Finding]:
    """Return the refusal for a GPU that is in the definition of another VM, or nothing."""
    for address in _moving(plan, gpu):
        strangers = [vm for vm in plan.blocking(address) if (vm.owner, vm.name) != (plan.owner, demand.name)]
        if not strangers:
            continue
        holder = strangers[0]
        part = f"GPU {gpu.address}" if address == gpu.address else f"GPU {gpu.address} with {address}"
        if holder.owner == plan.owner:
            return [_moved(plan, demand, part, holder, free)]
        owner = f"owner {holder.owner}" if holder.owner else "owner not known"
        message = f"vm {demand.name} wants {part}, which {holder.name} ({holder.state}, {owner}) holds"
        return [_refusal(plan, demand, "gpu-held", message, f"{free}; or {_release(plan, holder, address)}")]
    return []


def _release(plan: HostPlan, holder: Domain, address: str) -> str:
    if holder.owner and holder.owner == plan.limits.sharer:
        return f"take it back: {FLIP}"
    if holder.owner and holder.owner.startswith("cloud/"):
        return f"give it up there: pulumi destroy --stack {holder.owner.removeprefix('cloud/')}"
    edit = f"virsh -c {plan.limits.uri} edit {holder.name}"
    if holder.state == "shut-off":
        return f"take {address} out of it, where it is only defined: {edit}"
    return f"stop it first and take {address} out of it: {plan.limits.stop_command(holder.name)} && {edit}"


def _moved(plan: HostPlan, demand: VmDemand, part: str, holder: Domain, free: Free) -> Finding:
    """A card cannot go from VM to VM of a stack in one update: the new VM starts before the old one lets go."""
    return _refusal(
        plan,
        demand,
        "gpu-held",
        f"vm {demand.name} wants {part}, which {holder.name} of this same stack still holds",
        f"{free}; or move it in two updates: first take it from {holder.name} and give it to nobody, then give it to"
        f" {demand.name}",
    )


def _duplicates(plan: HostPlan, demand: VmDemand, gpu: GpuDemand, claimed: dict[str, str], free: Free) -> list[Finding]:
    functions = _moving(plan, gpu)
    first = next((address for address in functions if address in claimed), None)
    if first is None:
        claimed.update(dict.fromkeys(functions, demand.name))
        return []
    message = f"vm {demand.name} wants GPU {gpu.address}, but {first} is planned for vm {claimed[first]} as well"
    remedy = f"give each GPU to one VM only: change machines[{demand.name}].gpus; {free}"
    return [_refusal(plan, demand, "gpu-duplicate", message, remedy)]


def _moving(plan: HostPlan, gpu: GpuDemand) -> tuple[str, ...]:
    """As ``functions_of``, by the plan's indexes."""
    card = plan.gpus.get(gpu.address)
    return _functions(gpu, plan.groups.get(card.iommu_group) if card and card.iommu_group is not None else None)


def _functions(gpu: GpuDemand, group: IommuGroup | None) -> tuple[str, ...]:
    if gpu.siblings != "auto":
        return (gpu.address, *sorted(set(gpu.siblings) - {gpu.address}))
    devices = _movable(group) if group else []
    same = {device.address for device in devices if _same_card(device.address, gpu.address)}
    return (gpu.address, *sorted(same - {gpu.address}))


def _movable(group: IommuGroup) -> list[PciDevice]:
    return [device for device in group.devices if device.kind not in BRIDGES]


def _same_card(one: str, other: str) -> bool:
    return one.rpartition(".")[0] == other.rpartition(".")[0]


def _devices(devices: Iterable[PciDevice]) -> str:
    return ", ".join(f"{device.address} ({device.name or device.kind})" for device in devices)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))
