"""What a lease file says, as plain values; every change is a function from the old book to the new one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Update:
    """The engine process under which a lease was taken.

    ``boot`` says where ``pid`` means something: the kernel's boot id, and a PID namespace where it is not the first.
    ``start`` is the process's start in clock ticks since boot (proc(5), field 22 of stat): a pid alone comes again.
    """

    boot: str
    pid: int
    start: int


@dataclass(frozen=True)
class Lease:
    """A GPU of a host that a VM holds; ``owner`` as in ``cloud/prod``, ``since`` in UTC, ISO 8601.

    ``update`` is None for a lease that was taken by hand, or that says which of two clusters may run. ``functions`` are
    all PCI functions that VFIO moves with the card, its own among them, maybe those of a second GPU in its IOMMU group;
    empty where only the card was told. ``machine`` is what told the host from other machines, as in ``HostFacts``.
    """

    host: str
    gpu: str
    owner: str
    vm: str
    since: str
    update: Update | None = None
    functions: tuple[str, ...] = ()
    machine: tuple[str, ...] = ()

    @property
    def card(self) -> tuple[str, str]:
        """Host and address: what only one VM can have."""
        return self.host, self.gpu

    @property
    def devices(self) -> tuple[str, ...]:
        """Every PCI function that it keeps from others."""
        return self.functions or (self.gpu,)

    @property
    def holder(self) -> tuple[str, str]:
        """Owner and VM."""
        return self.owner, self.vm


@dataclass(frozen=True)
class Seen:
    """What a stack last saw of a card that it uses; None and an empty group stand for what it could never read.

    ``group`` lists the PCI functions of the card's IOMMU group that move with it, sorted, bridges left out. ``slot`` is
    the firmware's name of the slot.
    """

    owner: str
    host: str
    gpu: str
    vendor_device: str
    serial: str | None
    uuid: str | None
    group: tuple[str, ...]
    at: str
    slot: str | None = None

    @property
    def place(self) -> tuple[str, str, str]:
        """Who saw it, and where."""
        return self.owner, self.host, self.gpu


class HeldError(Exception):
    """A card that another VM holds; ``lease`` says which."""

    def __init__(self, lease: Lease) -> None:
        super().__init__(f"{lease.gpu} of {lease.host} is held by {lease.vm} of {lease.owner}")
        self.lease = lease


@dataclass(frozen=True)
class Book:
    """All leases in the order they were taken, one a card at most; and what stacks saw of their cards.

    Leases of different holders have no PCI function in common.
    """

    leases: tuple[Lease, ...] = ()
    seen: tuple[Seen, ...] = ()

    def of(self, host: str, function: str) -> Lease | None:
        """Return the lease that keeps a PCI function, the one on the card itself before one that it moves with."""
        found = [lease for lease in self.leases if lease.host == host and function in (lease.gpu, *lease.devices)]
        return min(found, key=lambda lease: lease.gpu != function, default=None)

    def rivals(self, lease: Lease) -> tuple[Lease, ...]:
        """Return the leases of other holders that keep any of a lease's functions."""
        wanted = {lease.gpu, *lease.devices}
        return tuple(
            each
            for each in self.leases
            if each.host == lease.host and each.holder != lease.holder and wanted & {each.gpu, *each.devices}
        )

    def seen_by(self, owner: str) -> dict[tuple[str, str], Seen]:
        """Return what an owner saw, by host and address."""
        return {(each.host, each.gpu): each for each in self.seen if each.owner == owner}

    def take(self, lease: Lease) -> Book:
        """Take a card; its holder may take it again, which notes the update that did, and what moves with it now.

        Raises HeldError where another VM holds the card, or anything that moves with it.
        """
        if rivals := self.rivals(lease):
            raise HeldError(rivals[0])
        held = next((each for each in self.leases if each.card == lease.card), None)
        if held is None:
            return replace(self, leases=(*self.leases, lease))
        again = replace(
            held,
            update=lease.update or held.update,
            functions=lease.functions or held.functions,
            machine=lease.machine or held.machine,
        )
        return self._replaced(held, again)

    def give_back(self, host: str, gpu: str, owner: str, vm: str) -> Book:
        """Give a card back, and forget what its owner saw of it; where another VM holds it, nothing changes.

        The memory goes also where nobody holds the card any more: the delete of a VM whose lease was void ends here.
        """
        held = self.of(host, gpu)
        if held is not None and held.holder != (owner, vm) and held.owner == owner:
            return self
        left = tuple(lease for lease in self.leases if (*lease.card, *lease.holder) != (host, gpu, owner, vm))
        return replace(self, leases=left).forget(owner, host, gpu)

    def drop(self, lease: Lease) -> Book:
        """Take a lease out, if it still stands exactly so."""
        return replace(self, leases=tuple(each for each in self.leases if each != lease))

    def transfer(self, giver: tuple[str, str], lease: Lease) -> Book:
        """Hand a card from one (owner, VM) to the VM of ``lease``; done already, nothing changes.

        A card that nobody holds goes to the new VM as well. Raises HeldError where a third one holds it.
        """
        lease = replace(lease, update=None)
        held = self.of(*lease.card)
        if held is not None and held.holder == giver != lease.holder:
            # The card that the lease is on, and all that moves with it, whichever of its functions was named.
            functions = held.functions or lease.functions
            moved = replace(lease, gpu=held.gpu, functions=functions, machine=held.machine)
            # Of the giver's leases those go with it that keep a part of the same.
            theirs = [each for each in self.rivals(moved) if each.holder == giver and each != held]
            left = replace(self, leases=tuple(each for each in self.leases if each not in theirs))
            if rivals := left.drop(held).rivals(moved):
                raise HeldError(rivals[0])
            return left._replaced(held, moved)
        return self if held is not None and held.holder == lease.holder else self.take(lease)

    def remember(self, owner: str, seen: Iterable[Seen]) -> Book:
        """Note what an owner sees of its cards now, in place of all it noted before.

        What cannot be read now (a card that a VM holds tells no serial number) stays as it was known.
        """
        before = self.seen_by(owner)
        noted = {each.place: _merged(before.get((each.host, each.gpu)), each) for each in seen}
        return replace(self, seen=(*(each for each in self.seen if each.owner != owner), *noted.values()))

    def forget(self, owner: str, host: str, gpu: str) -> Book:
        """Forget what an owner saw of a card."""
        return replace(self, seen=tuple(each for each in self.seen if each.place != (owner, host, gpu)))

    def _replaced(self, old: Lease, new: Lease) -> Book:
        """Put a lease in the place of another."""
        return replace(self, leases=tuple(new if each == old else each for each in self.leases))


def _merged(old: Seen | None, new: Seen) -> Seen:
    if old is None or old.vendor_device != new.vendor_device:
        return new
    return replace(
        new,
        serial=new.serial or old.serial,
        uuid=new.uuid or old.uuid,
        group=new.group or old.group,
        slot=new.slot or old.slot,
    )
