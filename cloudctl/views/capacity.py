"""The host against the plan, as data: what is needed, what is there, the verdict, the nearest plan that fits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster.budget import (
    Also,
    Change,
    Finding,
    HostLimits,
    HostPlan,
    demands_from,
    judge,
    limits_from,
    nearest_fit,
    refusals,
    sums,
)
from cluster.budget.capacity import Sum
from cluster.host.model import HostFacts
from cluster.leases.claims import Claims
from cluster.remarks import remarks
from cluster.render import image
from cluster.rolling import held_back
from cluster.settings.model import Machine, Settings
from cluster.standing import Standing
from cluster.types import format_mib, gb
from cluster.vm import pinning, planned_vms


def report(
    settings: Settings,
    hosts: Mapping[str, HostFacts | str],
    owner: str,
    claims: Claims | None = None,
    root: Path | None = None,
) -> dict[str, Any]:
    """Return everything ``cloudctl capacity`` shows; ``claims`` is the lease file as it was before the hosts were read.

    ``root``: the project, whose record and images say what an update would make anew; left out, nobody asks.

    ``fits`` is None where a host's facts, or a part of them that the verdict needs, could not be had and nothing else
    speaks against the plan; sums and findings then cover what is known.
    """
    facts = {name: each for name, each in hosts.items() if isinstance(each, HostFacts)}
    unknown = [f"host {name}: {why}" for name, why in hosts.items() if isinstance(why, str)]
    limits = limits_from(settings, claims.leases if claims else ())
    demands = demands_from(settings)
    judged = [demand for demand in demands if demand.host in facts or demand.host not in hosts]
    findings = judge(judged, facts, limits, owner)
    smaller = any(each.code != "fact-unknown" for each in refusals(findings))  # a lease is no matter of size
    findings += claims.findings(judged, facts, limits) if claims else []
    findings += pinning(settings, facts) if not unknown else []
    findings += _held_back(settings, facts, owner, root) if root and facts and not unknown else []
    findings += remarks(settings)
    rows = []
    for name, each in facts.items():
        here = [demand for demand in demands if demand.host == name]
        plan = HostPlan(each, here, limits.get(name) or HostLimits(), owner, name)
        rows.append(
            {"host": name, "resources": [_row(total) for total in sums(plan)], "vms": [_vm(d.name, d) for d in here]}
        )
    against = refusals(findings)
    unread = [str(each) for each in against if each.code == "fact-unknown"]
    refused = len(against) > len(unread)
    return {
        "owner": owner,
        "fits": False if refused else None if unknown or unread else True,
        "hosts": rows,
        "findings": [_finding(each) for each in findings],
        "nearest": _nearest(settings, facts, owner, limits, claims) if smaller and not unknown else None,
        "unknown": unknown,
    }


def _held_back(settings: Settings, facts: Mapping[str, HostFacts], owner: str, root: Path) -> list[Finding]:
    """Return what the program refuses because of the VMs that stand: no matter of size, so no smaller plan mends it."""
    if settings.kubernetes.provisioner == "existing":
        return []
    stack, packer = owner.removeprefix("cloud/"), root / "packer"
    digests = {"base": image.base_digest(settings, packer), "gpu-worker": image.gpu_digest(settings, packer)}
    standing = Standing.of(settings, stack, facts, root)
    return held_back(settings, planned_vms(settings, stack, facts, digests), standing, digests)


def _row(total: Sum) -> dict[str, Any]:
    room = total.have - total.reserve - sum(size for _, size in total.others)
    return {
        "resource": f"{total.resource}, pool {total.pool}" if total.pool else total.resource,
        "unit": "MiB" if total.text is gb else "count",
        "planned": sum(size for _, size in total.planned),
        "planned_by": dict(total.planned),
        "others": sum(size for _, size in total.others),
        "others_by": dict(total.others),
        "reserve": total.reserve,
        "need": total.need,
        "have": total.have,
        "room": max(room, 0),
        "fits": total.need <= total.have,
    }


def _vm(name: str, demand: Any) -> dict[str, Any]:
    return {
        "name": name,
        "cores": demand.cores,
        "memory_mib": demand.memory_mib,
        "disk_mib": demand.disk_mib,
        "gpus": [gpu.address for gpu in demand.gpus],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "severity": finding.severity,
        "host": finding.host,
        "vm": finding.vm,
        "message": finding.message,
        "remedy": finding.remedy,
    }


def also(facts: Mapping[str, HostFacts], limits: Mapping[str, HostLimits], claims: Claims | None) -> Also:
    """Return what the program refuses besides the verdict: by leases and the cards that were seen, and by pins."""
    return lambda plan: [
        *(claims.findings(demands_from(plan), facts, limits) if claims else []),
        *pinning(plan, facts),
    ]


def change(each: Change) -> dict[str, Any]:
    """Return a change to the settings as data."""
    return {"path": each.path, "before": _plain(each.before), "after": _plain(each.after), "why": each.why}


def _nearest(
    settings: Settings,
    facts: Mapping[str, HostFacts],
    owner: str,
    limits: Mapping[str, HostLimits],
    claims: Claims | None,
) -> dict[str, Any]:
    found = nearest_fit(settings, facts, owner, limits, also(facts, limits, claims))
    return {
        "fits": found.fits,
        "reasons": list(found.reasons),
        "changes": [change(each) for each in found],
        "machines": [_machine(machine) for machine in found.settings.machines] if found.fits else [],
    }


def _machine(machine: Machine) -> dict[str, Any]:
    return {
        "name": machine.name,
        "role": machine.role,
        "host": machine.host,
        "cores": machine.cores,
        "memory": format_mib(machine.memory),
        "disk": format_mib(machine.disk),
        "gpus": [gpu.address for gpu in machine.gpus],
    }


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | float | bool | None) else str(value)
