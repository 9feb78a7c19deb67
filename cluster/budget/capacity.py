"""Cores, memory, disk, GPUs: what is planned, what others keep, what the host needs itself, against what is there."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from cluster.budget.findings import Finding
from cluster.budget.plan import HostPlan
from cluster.types import gb

SHOWN = 4
"""How many VMs a breakdown names, largest first; the rest is counted."""


@dataclass(frozen=True)
class Sum:
    """One resource of a host, in its own unit: the parts of what is needed, and what there is."""

    resource: str
    planned: Sequence[tuple[str, int]]
    others: Sequence[tuple[str, int]]
    reserve: int
    have: int
    text: Callable[[int], str]
    pool: str | None = None

    @property
    def need(self) -> int:
        """What the planned VMs, the running VMs of others and the host itself need together."""
        return sum(size for _, size in (*self.planned, *self.others)) + self.reserve


def sums(plan: HostPlan) -> list[Sum]:
    """Return cores, memory, each planned pool and GPUs of a host; a resource that the facts do not tell is left out."""
    found: list[Sum] = []
    facts, limits, others = plan.facts, plan.limits, plan.running_others
    if facts.cpu.cores is not None:
        planned = [(demand.name, demand.cores) for demand in plan.demands]
        taken = [(domain.name, domain.cores) for domain in others]
        have = int(facts.cpu.cores * limits.vcpus_per_core)
        found.append(Sum("cpu", planned, taken, limits.reserve_cores, have, lambda number: f"{number} cores"))
    if facts.memory is not None:
        planned = [(demand.name, demand.memory_mib) for demand in plan.demands]
        taken = [(domain.name, int(domain.memory)) for domain in others]
        found.append(Sum("ram", planned, taken, limits.reserve_memory_mib, int(facts.memory), gb))
    found += _disk_sums(plan)
    planned = [(demand.name, len(demand.gpus)) for demand in plan.demands if demand.gpus]
    if planned or plan.gpus:
        counts = [(domain.name, sum(address in plan.gpus for address in domain.hostdevs)) for domain in others]
        found.append(Sum("gpus", planned, [each for each in counts if each[1]], 0, len(plan.gpus), str))
    return found


def capacity(plan: HostPlan) -> list[Finding]:
    """Return a refusal for every resource of the host that the plan would overrun, or whose size is not known."""
    found = [_too_much(plan, total) for total in sums(plan) if total.need > total.have and not _untold(plan, total)]
    if plan.facts.cpu.cores is None:
        found.append(plan.unknown("cpu.cores", "the number of cores"))
    if plan.facts.memory is None:
        found.append(plan.unknown("memory", "the memory"))
    found += _unusable_pools(plan)
    if plan.wants_gpus and plan.is_unknown("gpus"):
        found.append(plan.unknown("gpus", "the list of GPUs"))
    if plan.is_unknown("domains"):
        found.append(plan.unknown("domains", "the list of VMs"))
    return found


def _untold(plan: HostPlan, total: Sum) -> bool:
    """Whether a sum says nothing about this plan: GPUs that nobody wants, or that could not be listed."""
    return total.resource == "gpus" and (not total.planned or plan.is_unknown("gpus"))


def _disk_sums(plan: HostPlan) -> list[Sum]:
    wanted: dict[str, list[tuple[str, int]]] = {}
    for demand in plan.demands:
        for name, size in demand.disks.items():
            wanted.setdefault(name, []).append((demand.name, size))
    found: list[Sum] = []
    for name, planned in wanted.items():
        pool = plan.pool(name)
        if pool is not None and pool.capacity is not None and pool.allocated is not None:
            others = [("other files", int(pool.allocated))] if pool.allocated else []
            found.append(Sum("disk", planned, others, plan.limits.reserve_disk_mib, int(pool.capacity), gb, name))
    return found


def _unusable_pools(plan: HostPlan) -> list[Finding]:
    found: list[Finding] = []
    for name in dict.fromkeys(name for demand in plan.demands for name in demand.disks):
        pool = plan.pool(name)
        if pool is None:
            found.append(_pool_missing(plan, name))
        elif pool.active is False and pool.uuid:
            continue  # that it is not started, or not ours, is said by name
        elif pool.capacity is None or pool.allocated is None:
            found.append(plan.unknown(f"pools.{pool.name}", f"the free space of pool {name} at {pool.path}"))
    return found


def _pool_missing(plan: HostPlan, name: str) -> Finding:
    if plan.is_unknown("pools"):
        return plan.unknown("pools", f"the space for pool {name}")
    known = ", ".join(f"{pool.name} at {pool.path}" for pool in plan.facts.pools) or "none"
    return Finding(
        "pool-missing",
        "refuse",
        plan.host,
        None,
        f"pool {name} has no place on host {plan.host}: neither a pool of that name nor a file system for"
        f" {plan.limits.pools.get(name, 'its path')} is known there (known: {known})",
        f"set hosts[{plan.host}].pool to one of these, or write the host's facts anew: cloudctl host facts",
    )


def _too_much(plan: HostPlan, total: Sum) -> Finding:
    where = f"pool {total.pool} of host {plan.host}" if total.pool else f"host {plan.host}"
    message = (
        f"Insufficient {total.resource}: need {total.text(total.need)}, have {total.text(total.have)}"
        f" on {where} ({_breakdown(plan, total)})"
    )
    return Finding(f"insufficient-{total.resource}", "refuse", plan.host, None, message, _remedy(plan, total))


def _breakdown(plan: HostPlan, total: Sum) -> str:
    parts = [f"planned {_sum_text(plan, total, total.planned)}"]
    if total.others:
        parts.append(f"others {_sum_text(plan, total, total.others, owned=True)}")
    if total.reserve:
        parts.append(f"reserve of the host {total.text(total.reserve)}")
    return "; ".join(parts)


def _sum_text(plan: HostPlan, total: Sum, parts: Sequence[tuple[str, int]], *, owned: bool = False) -> str:
    shown = heapq.nlargest(SHOWN, parts, key=lambda part: part[1])
    names = ", ".join(f"{_owned(plan, name) if owned else name} {total.text(size)}" for name, size in shown)
    more = f" and {len(parts) - SHOWN} more" if len(parts) > SHOWN else ""
    return f"{total.text(sum(size for _, size in parts))}: {names}{more}"


def _remedy(plan: HostPlan, total: Sum) -> str:
    """Say which running VMs to stop if that is enough, else how much has to go."""
    missing = total.need - total.have
    if total.resource == "gpus":
        return f"ask for {missing} fewer GPUs on {plan.host}; who holds which, and what is free: cloudctl gpus"
    smaller = f"ask for {total.text(missing)} less on {plan.host}; the nearest plan that fits: cloudctl capacity"
    if total.resource == "disk":
        return f"free space there, or {smaller}"
    names = _enough(total.others, missing)
    if not names:
        return smaller
    commands = " && ".join(plan.limits.stop_command(name) for name in names)
    return f"stopping {', '.join(names)} is enough: {commands}; or {smaller}"


def _enough(others: Iterable[tuple[str, int]], missing: int) -> list[str]:
    """Return the fewest VMs, largest first, that give back what is missing; none where all of them would not do."""
    names: list[str] = []
    for name, size in sorted(others, key=lambda part: -part[1]):
        if missing <= 0:
            break
        names.append(name)
        missing -= size
    return names if missing <= 0 else []


def _owned(plan: HostPlan, name: str) -> str:
    """Return a VM's name with its owner; what is not a VM has none."""
    domain = plan.domains.get(name)
    if domain is None:
        return name
    return f"{name} ({f'owner {domain.owner}' if domain.owner else 'owner not known'})"
