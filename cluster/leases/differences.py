"""Where the lease file and libvirt's definitions do not agree, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from cluster.budget.sharing import FLIP, FLIP_BACK
from cluster.host.model import Domain
from cluster.leases.book import Book, Lease
from cluster.leases.evidence import Evidence
from cluster.leases.words import release_command, stack_of

State = Literal["made", "making", "void", "by-hand", "unknown"]
"""Of a lease: its VM is defined with the card; an update is about to make it; nobody made it; taken by hand and not
made; its host did not answer."""


@dataclass(frozen=True)
class Difference:
    """One card on which file and libvirt do not agree; ``harmless``: it mends itself, or may be meant."""

    code: str
    host: str
    gpu: str
    message: str
    remedy: str
    harmless: bool = False

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}"


def lease_state(lease: Lease, evidence: Evidence) -> State:
    """Return how a lease stands beside libvirt."""
    if not evidence.knows(lease.host):
        return "unknown"
    if evidence.vm_of(lease) is not None:
        return "made"
    if lease.update is None:
        return "by-hand"
    return "void" if evidence.is_void(lease) else "making"


def differences(book: Book, evidence: Evidence) -> list[Difference]:
    """Return every difference on the hosts whose VMs are known, leases first. Empty: file and libvirt agree."""
    found = [each for lease in book.leases if evidence.knows(lease.host) for each in _of_lease(lease, evidence)]
    for host in evidence.facts:
        if evidence.knows(host):
            for gpu in evidence.facts[host].gpus:
                if book.of(host, gpu.address) is None:
                    found += _without_lease(host, gpu.address, evidence)
    return found


def _of_lease(lease: Lease, evidence: Evidence) -> Iterator[Difference]:
    others = [vm for vm in evidence.vms_with(lease.host, lease.devices) if vm.name != lease.vm]
    waking = [vm for vm in others if not _waits(vm, lease, evidence)]
    state = lease_state(lease, evidence)
    if waking:
        yield _taken(lease, waking[0], state, evidence)
    elif state == "void":
        yield Difference(
            "void",
            lease.host,
            lease.gpu,
            f"GPU {lease.gpu} of host {lease.host} was promised to {lease.vm} ({lease.owner}), which was not made: the"
            " lease is void and the card is free",
            f"whoever wants it may take it, {lease.vm} at its next update; or drop the lease: {release_command(lease)}",
            harmless=True,
        )
    elif state == "by-hand":
        yield Difference(
            "by-hand",
            lease.host,
            lease.gpu,
            f"GPU {lease.gpu} of host {lease.host} is kept for {lease.vm} ({lease.owner}), which does not have it",
            f"if it is not to get it: {release_command(lease)}",
            harmless=True,
        )


def _waits(vm: Domain, lease: Lease, evidence: Evidence) -> bool:
    """Whether a VM that defines a leased card shares it by agreement, and is shut off."""
    return _share(vm, lease, evidence) and vm.state == "shut-off"


def _share(vm: Domain, lease: Lease, evidence: Evidence) -> bool:
    """Whether a VM and a lease are of the two clusters that may define the same cards, one of each."""
    return vm.owner != lease.owner and evidence.sharer is not None and evidence.sharer in (vm.owner, lease.owner)


def _taken(lease: Lease, vm: Domain, state: State, evidence: Evidence) -> Difference:
    owner = vm.owner or "not known"
    what = f"GPU {lease.gpu} of host {lease.host} is leased to {lease.vm} ({lease.owner})"
    has = f"{vm.name} ({vm.state}, owner {owner})"
    if _share(vm, lease, evidence):
        to_us = lease.owner == evidence.sharer
        remedy = f"shut {vm.name} down, or hand the lease over: {FLIP if to_us else FLIP_BACK}"
        return Difference("runs-without-lease", lease.host, lease.gpu, f"{what}, but {has} runs on it", remedy)
    if state == "made":
        message = f"{what} and in its definition, but {has} has it in its own as well"
        remedy = f"take it out of {vm.name}: only one of them can run"
        return Difference("defined-twice", lease.host, lease.gpu, message, remedy)
    stack = stack_of(vm.owner)
    if not evidence.is_overruled(lease):
        remedy = f"an update that makes {lease.vm} is under way: wait for its end, and look again"
    elif stack:
        remedy = f"the next update of stack {stack} takes the lease over; or drop it: {release_command(lease)} --wrong"
    else:
        remedy = f"drop the lease: {release_command(lease)} --wrong"
    return Difference("held-by-another", lease.host, lease.gpu, f"{what}, but {has} has it", remedy)


def _without_lease(host: str, gpu: str, evidence: Evidence) -> Iterator[Difference]:
    for vm in evidence.vms_with(host, (gpu,)):
        stack = stack_of(vm.owner)
        if stack:
            yield Difference(
                "without-lease",
                host,
                gpu,
                f"GPU {gpu} of host {host} is in the definition of {vm.name} ({vm.state}, owner {vm.owner}), but no"
                " lease says so",
                f"the next update of stack {stack} takes the lease; until then libvirt's definition keeps others away",
            )
