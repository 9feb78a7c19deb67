"""Who holds which GPU, as data: the hosts' facts, the lease file and the stack's plan laid side by side."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cluster.budget import demands_from, identity, sharer_of
from cluster.host.model import Domain, GpuFacts, HostFacts
from cluster.leases import Book, Lease, Seen, Update
from cluster.leases.differences import differences, lease_state
from cluster.leases.evidence import Evidence
from cluster.settings.model import Settings


def report(
    settings: Settings,
    hosts: Mapping[str, HostFacts | str],
    book: Book,
    ended: frozenset[Update],
    owner: str,
    ready: Container[str] = (),
) -> dict[str, Any]:
    """Return a row per GPU and per lease, what does not agree, and what is only worth knowing.

    ``ended`` are the updates that were over before the hosts were asked, ``ready`` the VMs of the stack that could once
    be used. A GPU's state: ``ours`` (a VM of this stack
    has it), ``leased`` (promised to one of ours, not yet in it), ``held`` (another's VM has it, running or merely
    defined, or another's lease keeps it), ``free``, or ``unknown`` (planned or leased, but nothing is known of it).
    """
    facts = {name: each for name, each in hosts.items() if isinstance(each, HostFacts)}
    evidence = Evidence(facts, ended, sharer_of(settings))
    look = _Look(settings, evidence, book, owner)
    rows = [row for host in hosts for row in look.rows(host, hosts[host])]
    found = differences(book, evidence)
    about = identity(demands_from(settings), facts, book.seen_by(owner), owner)
    return {
        "owner": owner,
        "gpus": rows,
        "free": [{"host": row["host"], "address": row["address"]} for row in rows if row["state"] == "free"],
        "leases": [_lease(lease, evidence) for lease in book.leases],
        "problems": [
            *(problem for row in rows if (problem := row.pop("problem"))),
            *(str(each) for each in found if not each.harmless),
            *(str(each) for each in about if each.severity == "refuse"),
        ],
        "notes": [
            *(str(each) for each in found if each.harmless),
            *(str(each) for each in about if each.severity == "warn"),
            *(note for each in facts.values() for note in _never_ready(settings, each, owner, ready)),
        ],
        "unknown": [f"host {host}: {each}" for host, each in hosts.items() if isinstance(each, str)],
    }


def _never_ready(settings: Settings, facts: HostFacts, owner: str, ready: Container[str]) -> Iterator[str]:
    """Yield a note on each VM of the stack that keeps GPUs and is off, where nobody ever saw it ready."""
    planned = {machine.name for machine in settings.machines}
    for vm in facts.domains:
        gpus = [gpu.address for gpu in facts.gpus if gpu.address in vm.hostdevs]
        if gpus and vm.owner == owner and vm.state == "shut-off" and vm.name in planned and vm.name not in ready:
            yield (
                f"{vm.name} on host {facts.name} is defined and off, and was never ready as far as this machine knows:"
                f" if it could not start, the next cloudctl up --stack {owner.removeprefix('cloud/')} (or cloudctl"
                f" recover) undefines it and frees {', '.join(gpus)}"
            )


def _lease(lease: Lease, evidence: Evidence) -> dict[str, Any]:
    return {
        "host": lease.host,
        "address": lease.gpu,
        "owner": lease.owner,
        "vm": lease.vm,
        "since": lease.since,
        "state": lease_state(lease, evidence),
    }


@dataclass(frozen=True)
class _Look:
    """Everything that a row is made of."""

    settings: Settings
    evidence: Evidence
    book: Book
    owner: str

    def rows(self, host: str, facts: HostFacts | str) -> list[dict[str, Any]]:
        """Return a row per GPU of a host, then one for each that is planned or leased but not there."""
        plan = {
            gpu.address: machine.name
            for machine in self.settings.machines
            if self.settings.host_of(machine).name == host
            for gpu in machine.gpus
        }
        known = facts.gpus if isinstance(facts, HostFacts) else ()
        leased = {lease.gpu for lease in self.book.leases if lease.host == host}
        missing = {*plan, *leased} - {gpu.address for gpu in known}
        reason = facts if isinstance(facts, str) else "the host has no such GPU"
        return [
            *(self._row(host, gpu, plan.get(gpu.address)) for gpu in known),
            *(self._absent(host, each, plan.get(each), reason) for each in sorted(missing)),
        ]

    def _row(self, host: str, gpu: GpuFacts, planned: str | None) -> dict[str, Any]:
        lease = self.book.of(host, gpu.address)
        keeping = lease if lease and not self.evidence.is_void(lease) else None
        holder = self._holder(host, gpu.address, lease)
        who = holder.owner if holder else keeping.owner if keeping else None
        mine = who == self.owner
        state = ("ours" if mine else "held") if holder else ("leased" if mine else "held") if keeping else "free"
        return {
            "host": host,
            "address": gpu.address,
            "model": gpu.model,
            "memory_mib": gpu.memory,
            "compute_capability": gpu.compute_capability,
            "iommu_group": gpu.iommu_group,
            "driver": gpu.driver,
            "vendor_device": gpu.vendor_device,
            "serial": gpu.serial,
            "uuid": gpu.uuid,
            "slot": gpu.slot,
            "seen": self._seen(host, gpu.address),
            "state": state,
            "vm": holder.name if holder else keeping.vm if keeping else None,
            "vm_state": holder.state if holder else None,
            "owner": (holder.owner or "not known") if holder else who,
            **self._promise(lease, planned),
            "problem": self._problem(host, gpu.address, holder, keeping, planned),
        }

    def _absent(self, host: str, address: str, planned: str | None, reason: str) -> dict[str, Any]:
        lease = self.book.of(host, address)
        empty = ("model", "memory_mib", "compute_capability", "iommu_group", "driver", "vendor_device")
        who = f"planned for {planned}" if planned else f"leased to {lease.vm if lease else ''}"
        return {
            "host": host,
            "address": address,
            **dict.fromkeys((*empty, "serial", "uuid", "slot", "vm_state")),
            "seen": self._seen(host, address),
            "state": "unknown",
            "vm": lease.vm if lease else None,
            "owner": lease.owner if lease else None,
            **self._promise(lease, planned),
            "problem": f"GPU {address} of host {host} is {who}, but nothing is known of it: {reason}",
        }

    def _promise(self, lease: Lease | None, planned: str | None) -> dict[str, Any]:
        return {
            "leased_to": lease.vm if lease else None,
            "lease": lease_state(lease, self.evidence) if lease else None,
            "since": lease.since if lease else None,
            "planned_for": planned,
        }

    def _seen(self, host: str, address: str) -> dict[str, Any] | None:
        seen: Seen | None = self.book.seen_by(self.owner).get((host, address))
        if seen is None:
            return None
        known = {"vendor_device": seen.vendor_device, "serial": seen.serial, "uuid": seen.uuid, "slot": seen.slot}
        return {**known, "group": list(seen.group), "at": seen.at}

    def _problem(
        self, host: str, address: str, holder: Domain | None, lease: Lease | None, planned: str | None
    ) -> str | None:
        """Return what is wrong with a card of this stack's plan; leases and VMs that disagree are told elsewhere."""
        where = f"GPU {address} of host {host}"
        if planned and holder and holder.owner != self.owner:
            return (
                f"{where} is planned for {planned}, but {holder.name} ({holder.state}, owner"
                f" {holder.owner or 'not known'}) has it; choose a free one, or take it from that VM"
            )
        if planned and lease and not holder and lease.owner != self.owner:
            return f"{where} is planned for {planned}, but leased to {lease.vm} of {lease.owner}; choose a free one"
        return None

    def _holder(self, host: str, address: str, lease: Lease | None) -> Domain | None:
        """Return the VM that has a GPU: a running one first, then the one with the lease; none that waits its turn."""
        vms = self.evidence.vms_with(host, (address,))
        awake = [vm for vm in vms if vm.state != "shut-off" or not self._shares(vm, lease)]
        ranked = sorted(awake, key=lambda vm: (vm.state == "shut-off", lease is None or vm.name != lease.vm))
        return ranked[0] if ranked else None

    def _shares(self, vm: Domain, lease: Lease | None) -> bool:
        """Whether a VM that is off waits for its turn: it is of one of two clusters that share, and has no lease."""
        if self.evidence.sharer is None or (lease is not None and (vm.owner, vm.name) == lease.holder):
            return False
        return vm.owner == self.evidence.sharer or (lease is not None and lease.owner == self.evidence.sharer)
