"""Leases beside what libvirt defines, which wins: what is void, what goes back to its VM, who may take a card.

Everything here is a function of the book, of the hosts' facts and of the updates that were over before the facts were
read. That order matters: what an update had made by its end is then in the facts, so a VM that they do not show was not
made, and will not be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cluster.budget.gpus import group_functions
from cluster.host.model import Domain, GpuFacts, HostFacts
from cluster.leases.book import Book, HeldError, Lease, Update


@dataclass(frozen=True)
class Evidence:
    """What speaks beside the lease file.

    ``ended`` holds updates that were over before the facts were read. ``sharer`` owns VMs that may define the same
    cards as ours, by agreement: a lease says which of them may run.
    """

    facts: Mapping[str, HostFacts] = field(default_factory=dict)
    ended: frozenset[Update] = frozenset()
    sharer: str | None = None

    def knows(self, host: str) -> bool:
        """Whether the VMs of a host are known as they are now, every one of them.

        Facts that somebody wrote down may still forbid a card; that a VM is not there they cannot tell.
        """
        return host in self.facts and self.facts[host].live and "domains" not in self.facts[host].unknown

    def vms_with(self, host: str, functions: Iterable[str]) -> list[Domain]:
        """Return the VMs whose definition has one of these PCI functions, running ones first."""
        wanted = set(functions)
        found = [each for each in self.facts[host].domains if wanted & set(each.hostdevs)] if host in self.facts else []
        return sorted(found, key=lambda each: each.state == "shut-off")

    def vm_of(self, lease: Lease) -> Domain | None:
        """Return the VM of a lease, if it is defined with the card, or with anything that moves with it."""
        return next((vm for vm in self.vms_with(lease.host, lease.devices) if vm.name == lease.vm), None)

    def is_void(self, lease: Lease) -> bool:
        """Whether a lease holds nothing: its VM is not defined with the card, and the update that would make it is
        over. Where the host did not answer nothing is void, nor what was taken by hand."""
        return self.knows(lease.host) and lease.update in self.ended and self.vm_of(lease) is None

    def is_overruled(self, lease: Lease) -> bool:
        """Whether a lease gives way to a VM that is defined with the card: nobody makes the VM of the lease now."""
        stale = self.knows(lease.host) and lease.owner != self.sharer and self.vm_of(lease) is None
        return stale and (lease.update is None or lease.update in self.ended)

    def elsewhere(self, book: Book, host: str) -> list[Lease]:
        """Return the leases that hold something on a host's machine and call the host by another name."""
        if host not in self.facts:
            return []
        same = set(self.facts[host].machine)
        found = [each for each in book.leases if each.host != host and same & set(each.machine)]
        return [each for each in found if not self.is_void(replace(each, host=host))]

    def sleeps(self, vm: Domain) -> bool:
        """Whether a VM's definition keeps nobody from its cards: one of the cluster that we share with, shut off."""
        return vm.owner is not None and vm.owner == self.sharer and vm.state == "shut-off"


@dataclass(frozen=True)
class Wanted:
    """A card that a planned VM is to get, with all PCI functions that move along; the card itself comes first."""

    host: str
    gpu: str
    vm: str
    functions: tuple[str, ...]
    machine: tuple[str, ...] = ()


@dataclass(frozen=True)
class Conflict:
    """A card that somebody else has: by definition in libvirt (a VM), or by lease."""

    wanted: Wanted
    holder: Domain | Lease


def reconcile(book: Book, evidence: Evidence, owner: str, update: Update | None, now: str) -> Book:
    """Return the book without void leases, and with a lease for each card that a VM of this owner is defined with.

    Doing it again changes nothing. VMs of others get no lease from here: their owner's next update sees to that.
    """
    book = replace(book, leases=tuple(lease for lease in book.leases if not evidence.is_void(lease)))
    for host in evidence.facts:
        if not evidence.knows(host):
            continue
        for gpu in evidence.facts[host].gpus:
            for vm in evidence.vms_with(host, (gpu.address,)):
                if vm.owner == owner:
                    functions = _moving(evidence.facts[host], gpu, vm)
                    machine = evidence.facts[host].machine
                    lease = Lease(host, gpu.address, owner, vm.name, now, update, functions, machine)
                    book = _adopted(book, evidence, lease)
    return book


def claim(
    book: Book, wanted: Sequence[Wanted], evidence: Evidence, owner: str, update: Update | None, now: str
) -> tuple[Book, list[Conflict]]:
    """Take every wanted card for its VM, or none: then the book is as it was, and all conflicts are told."""
    settled = reconcile(book, evidence, owner, update, now)
    conflicts: list[Conflict] = []
    for each in wanted:
        rival: Domain | Lease | None = _rival(each, evidence, owner)
        try:
            settled = settled.take(
                Lease(each.host, each.gpu, owner, each.vm, now, update, each.functions, each.machine)
            )
        except HeldError as error:
            rival = rival or error.lease
        if rival is not None:
            conflicts.append(Conflict(each, rival))
    return (book, conflicts) if conflicts else (settled, [])


def _adopted(book: Book, evidence: Evidence, lease: Lease) -> Book:
    held, rivals = book.of(*lease.card), book.rivals(lease)
    if not all(evidence.is_overruled(each) for each in rivals):
        return book
    for each in rivals:
        book = book.drop(each)
    return book if held and held.holder == lease.holder else book.take(lease)


def _moving(facts: HostFacts, gpu: GpuFacts, vm: Domain) -> tuple[str, ...]:
    """Return what a VM has of a card's IOMMU group, the card itself first."""
    others = set(group_functions(facts, gpu)) & set(vm.hostdevs) - {gpu.address}
    return (gpu.address, *sorted(others))


def _rival(wanted: Wanted, evidence: Evidence, owner: str) -> Domain | None:
    for vm in evidence.vms_with(wanted.host, wanted.functions):
        if (vm.owner, vm.name) != (owner, wanted.vm) and not evidence.sleeps(vm):
            return vm
    return None
