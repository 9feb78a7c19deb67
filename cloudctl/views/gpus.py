"""Who holds which GPU, as data: the hosts' facts, the lease file and the stack's plan laid side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cluster.host.model import Domain, GpuFacts, HostFacts
from cluster.settings.model import Settings

if TYPE_CHECKING:
    from cluster.leases import Lease


def report(
    settings: Settings, hosts: Mapping[str, HostFacts | str], leases: Iterable[Lease], owner: str
) -> dict[str, Any]:
    """Return a row per GPU, and what does not agree.

    A row's state: ``ours`` (a VM of this stack has it), ``leased`` (promised to one of ours, not yet in it), ``held``
    (another's VM has it, running or merely defined), ``free``, or ``unknown`` (planned, but its host was not asked).
    """
    plan = {
        (settings.host_of(machine).name, gpu.address): machine.name
        for machine in settings.machines
        for gpu in machine.gpus
    }
    leased = {(lease.host, lease.gpu): lease for lease in leases}
    rows: list[dict[str, Any]] = []
    for host, facts in hosts.items():
        known = facts.gpus if isinstance(facts, HostFacts) else ()
        for gpu in known:
            assert isinstance(facts, HostFacts)
            place = (host, gpu.address)
            rows.append(_row(host, facts, gpu, leased.get(place), plan.get(place), owner))
        missing = {address for name, address in (*plan, *leased) if name == host} - {gpu.address for gpu in known}
        reason = facts if isinstance(facts, str) else "the host has no such GPU"
        rows += [
            _absent(host, each, leased.get((host, each)), plan.get((host, each)), reason) for each in sorted(missing)
        ]
    return {
        "owner": owner,
        "gpus": rows,
        "free": [{"host": row["host"], "address": row["address"]} for row in rows if row["state"] == "free"],
        "problems": [problem for row in rows if (problem := row.pop("problem"))],
        "unknown": [f"host {host}: {facts}" for host, facts in hosts.items() if isinstance(facts, str)],
    }


def _row(
    host: str, facts: HostFacts, gpu: GpuFacts, lease: Lease | None, planned: str | None, owner: str
) -> dict[str, Any]:
    holder = _holder(facts, gpu.address)
    if holder is not None:
        state = "ours" if holder.owner == owner else "held"
    elif lease is not None:
        state = "leased" if lease.owner == owner else "held"
    else:
        state = "free"
    return {
        "host": host,
        "address": gpu.address,
        "model": gpu.model,
        "memory_mib": gpu.memory,
        "compute_capability": gpu.compute_capability,
        "iommu_group": gpu.iommu_group,
        "driver": gpu.driver,
        "serial": gpu.serial,
        "state": state,
        "vm": holder.name if holder else lease.vm if lease else None,
        "vm_state": holder.state if holder else None,
        "owner": (holder.owner or "not known") if holder else lease.owner if lease else None,
        "leased_to": lease.vm if lease else None,
        "planned_for": planned,
        "problem": _problem(host, gpu.address, holder, lease, planned, owner),
    }


def _absent(host: str, address: str, lease: Lease | None, planned: str | None, reason: str) -> dict[str, Any]:
    empty = ("model", "memory_mib", "compute_capability", "iommu_group", "driver", "serial", "vm_state")
    who = f"planned for {planned}" if planned else f"leased to {lease.vm if lease else ''}"
    return {
        "host": host,
        "address": address,
        **dict.fromkeys(empty),
        "state": "unknown",
        "vm": lease.vm if lease else None,
        "owner": lease.owner if lease else None,
        "leased_to": lease.vm if lease else None,
        "planned_for": planned,
        "problem": f"GPU {address} of host {host} is {who}, but nothing is known of it: {reason}",
    }


def _problem(
    host: str, address: str, holder: Domain | None, lease: Lease | None, planned: str | None, owner: str
) -> str | None:
    where = f"GPU {address} of host {host}"
    if planned and holder and holder.owner != owner:
        return (
            f"{where} is planned for {planned}, but {holder.name} ({holder.state}, owner {holder.owner or 'not known'})"
            " has it; choose a free one, or take it from that VM"
        )
    if holder and lease and holder.name != lease.vm:
        return (
            f"{where} is leased to {lease.vm} ({lease.owner}), but {holder.name} has it"
            "; see: cloudctl gpus give-back --help"
        )
    if planned and lease and not holder and lease.owner != owner:
        return f"{where} is planned for {planned}, but leased to {lease.vm} of {lease.owner}; choose a free one"
    return None


def _holder(facts: HostFacts, address: str) -> Domain | None:
    """Return the VM that has a GPU: a running one before one that is merely defined."""
    holders = [domain for domain in facts.domains if address in domain.hostdevs]
    return min(holders, key=lambda domain: domain.state == "shut-off", default=None)
