"""Leases where a person is at work: dropping one, after a look at libvirt; and not starting what may not run."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from cloudctl import live, project
from cloudctl.exits import CannotTellError, RefusedError
from cluster.budget import sharer_of
from cluster.budget.sharing import FLIP
from cluster.flip.unfinished import unfinished
from cluster.host.model import HostFacts
from cluster.leases import Book, Lease, LeaseFile
from cluster.leases.differences import lease_state
from cluster.leases.evidence import Evidence
from cluster.leases.update import ended, state_of
from cluster.leases.words import release_command, stack_of
from cluster.problems import InputError, Problem
from cluster.settings.model import Settings


@dataclass(frozen=True)
class Found:
    """A lease, if there is one, beside what its host says."""

    file: LeaseFile
    lease: Lease | None
    evidence: Evidence

    def refuse(self, *, wrong: bool = False) -> None:
        """Raise RefusedError where a VM is defined with the card, or the lease's own is about to be.

        ``wrong``: that another VM has the card is known, and the lease is to go for just that.
        """
        lease = self.lease
        if lease is None:
            return
        state = lease_state(lease, self.evidence)
        if state == "made":
            stack = stack_of(lease.owner)
            remedy = f"pulumi destroy --stack {stack}" if stack else f"take the card out of it: virsh edit {lease.vm}"
            raise RefusedError(
                f"{lease.vm} ({lease.owner}) has GPU {lease.gpu} of host {lease.host} in its definition, so the lease"
                f" is in use; to free the card: {remedy}"
            )
        others = [vm for vm in self.evidence.vms_with(lease.host, lease.devices) if vm.name != lease.vm]
        if others and not wrong:
            names = ", ".join(f"{vm.name} ({vm.state}, owner {vm.owner or 'not known'})" for vm in others)
            raise RefusedError(
                f"GPU {lease.gpu} of host {lease.host} is in the definition of {names}, though leased to {lease.vm}"
                f" ({lease.owner}); libvirt's definition counts and stays: if it is the lease that is wrong, drop it"
                f" with: {release_command(lease)} --wrong"
            )
        if state == "making" and lease.update is not None and state_of(lease.update) == "running":
            raise RefusedError(
                f"an update that is about to make {lease.vm} ({lease.owner}) is under way (process"
                f" {lease.update.pid}); wait for its end, and look again: cloudctl gpus"
            )

    def drop(self) -> None:
        """Take the lease out of the file. Raises RefusedError where it is not what it was when it was looked at."""
        lease = self.lease
        assert lease is not None

        def step(book: Book) -> Book:
            if book.of(*lease.card) != lease:
                raise RefusedError("the lease has changed in this moment; look again: cloudctl gpus")
            return book.drop(lease)

        self.file.change(step)


def refuse_lent(settings: Settings, machines: Collection[str]) -> None:
    """Raise RefusedError where the cluster that shares our GPUs holds the lease on one of these machines' cards."""
    sharer = sharer_of(settings)
    book = LeaseFile(project.root() / settings.state).read() if sharer else Book()
    lent = [
        f"GPU {gpu.address} of {machine.name} is with {lease.vm} ({lease.owner}) since {lease.since}"
        for machine in settings.machines
        for gpu in machine.gpus
        if machine.name in machines
        and (lease := book.of(settings.host_of(machine).name, gpu.address))
        and lease.owner == sharer
    ]
    if lent:
        raise RefusedError(f"{'; '.join(lent)}; take it back, which starts the machines as well: {FLIP}")


def refuse_unfinished(chosen: project.Stack) -> None:
    """Raise RefusedError while a flip of the stack is open: it has stopped machines, or is about to."""
    found = unfinished(chosen.settings(), chosen.name, project.root())
    if found:
        raise RefusedError("; ".join(str(each) for each in found))


def look(chosen: project.Stack, host: str, gpu: str, host_file: list[Path] | None) -> Found:
    """Return the lease on a card of one of a stack's hosts. Raises CannotTellError where the host does not answer."""
    settings = chosen.settings()
    names = [each.name for each in settings.hosts]
    if host not in names:
        reason = f"is no host of stack {chosen.name}, so libvirt cannot be asked what it defines there"
        remedy = f"its hosts: {', '.join(names)}; or name a stack that has it with --stack"
        raise InputError("command line", [Problem("--host", host, reason, remedy)])
    file = LeaseFile(project.root() / settings.state)
    book = file.read()
    over = ended(book.leases)  # before the host is asked: what these updates made is there by then
    facts = live.hosts(settings, host_file, need=("domains",))[host]
    if not isinstance(facts, HostFacts):
        raise CannotTellError(f"host {host}: {facts}; nothing was dropped; run again once it answers")
    if not facts.live:
        raise CannotTellError(
            f"host {host}: its facts were written down, so nobody can tell which VMs it has now; nothing was dropped;"
            f" take hosts[{host}].facts out of the settings, or give back by name: cloudctl gpus give-back --help"
        )
    return Found(file, book.of(host, gpu), Evidence({host: facts}, over, sharer_of(settings)))
