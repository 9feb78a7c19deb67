"""Cores, memory, disk, GPUs: what is planned, what others keep, what the host needs itself, against what is there."""

from __future__ import annotations

import heapq
from collections import Counter
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

    @property
    def need(self) -> int:
        """What the planned VMs, the running VMs of others and the host itself need together."""
        return sum(size for _, size in (*self.planned, *self.others)) + self.reserve


def capacity(plan: HostPlan) -> list[Finding]:
    """Return a refusal for every resource of the host that the plan would overrun."""
    found = [*_cpu(plan), *_memory(plan), *_disks(plan), *_gpus(plan)]
    if plan.is_unknown("domains"):
        found.append(plan.unknown("domains", "the list of VMs"))
    return found


def _cpu(plan: HostPlan) -> list[Finding]:
    cores = plan.facts.cpu.cores
    if cores is None:
        return [plan.unknown("cpu.cores", "the number of cores")]
    planned = [(demand.name, demand.cores) for demand in plan.demands]
    others = [(_named(plan, domain.name), domain.cores) for domain in plan.running_others]
    have = int(cores * plan.limits.vcpus_per_core)
    return _judge(plan, Sum("cpu", planned, others, plan.limits.reserve_cores, have, lambda n: f"{n} cores"))


def _memory(plan: HostPlan) -> list[Finding]:
    if plan.facts.memory is None:
        return [plan.unknown("memory", "the memory")]
    planned = [(demand.name, demand.memory_mib) for demand in plan.demands]
    others = [(_named(plan, domain.name), int(domain.memory)) for domain in plan.running_others]
    return _judge(plan, Sum("ram", planned, others, plan.limits.reserve_memory_mib, int(plan.facts.memory), gb))


def _disks(plan: HostPlan) -> list[Finding]:
    wanted: dict[str, list[tuple[str, int]]] = {}
    for demand in plan.demands:
        for name, size in demand.disks.items():
            wanted.setdefault(name, []).append((demand.name, size))
    found: list[Finding] = []
    for name, planned in wanted.items():
        pool = plan.pool(name)
        if pool is None:
            found.append(_pool_missing(plan, name))
        elif pool.capacity is None or pool.allocated is None:
            found.append(plan.unknown(f"pools.{pool.name}", f"the free space of pool {name} at {pool.path}"))
        else:
            others = [("other files", int(pool.allocated))] if pool.allocated else []
            found += _judge(
                plan, Sum("disk", planned, others, plan.limits.reserve_disk_mib, int(pool.capacity), gb), pool=name
            )
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


def _gpus(plan: HostPlan) -> list[Finding]:
    planned = [(demand.name, len(demand.gpus)) for demand in plan.demands if demand.gpus]
    if not planned:
        return []
    if plan.is_unknown("gpus"):
        return [plan.unknown("gpus", "the list of GPUs")]
    held = Counter(domain.name for domain in plan.running_others for address in domain.hostdevs if address in plan.gpus)
    others = [(_named(plan, name), count) for name, count in held.items()]
    return _judge(plan, Sum("gpus", planned, others, 0, len(plan.gpus), str))


def _judge(plan: HostPlan, total: Sum, pool: str | None = None) -> list[Finding]:
    if total.need <= total.have:
        return []
    where = f"pool {pool} of host {plan.host}" if pool else f"host {plan.host}"
    message = (
        f"Insufficient {total.resource}: need {total.text(total.need)}, have {total.text(total.have)}"
        f" on {where} ({_breakdown(total)})"
    )
    return [Finding(f"insufficient-{total.resource}", "refuse", plan.host, None, message, _remedy(plan, total))]


def _breakdown(total: Sum) -> str:
    parts = [f"planned {_sum_text(total, total.planned)}"]
    if total.others:
        parts.append(f"others {_sum_text(total, total.others)}")
    if total.reserve:
        parts.append(f"reserve of the host {total.text(total.reserve)}")
    return "; ".join(parts)


def _sum_text(total: Sum, parts: Sequence[tuple[str, int]]) -> str:
    shown = heapq.nlargest(SHOWN, parts, key=lambda part: part[1])
    names = ", ".join(f"{name} {total.text(size)}" for name, size in shown)
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
    names = _enough([(name.split(" ")[0], size) for name, size in total.others], missing)
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


def _named(plan: HostPlan, name: str) -> str:
    owner = plan.domains[name].owner
    return f"{name} ({f'owner {owner}' if owner else 'owner not known'})"
