"""What the program does with leases: one look before the hosts are read, one verdict, one claim for all its GPUs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.budget.demand import GpuDemand, VmDemand
from cluster.budget.errors import GPUAlreadyAllocatedError, refuse
from cluster.budget.findings import Finding
from cluster.budget.gpus import Free, functions_of, group_functions, held
from cluster.budget.identity import identity
from cluster.budget.limits import HostLimits, sharer_of
from cluster.budget.plan import HostPlan
from cluster.host.model import HostFacts
from cluster.leases.book import Book, Lease, Seen, Update
from cluster.leases.evidence import Conflict, Evidence, Wanted, claim
from cluster.leases.file import LeaseFile, now
from cluster.leases.update import ended, running_update
from cluster.leases.words import leased, other_name
from cluster.settings.model import Settings


@dataclass(frozen=True)
class Claims:
    """The lease file as it was before the hosts were read; ``ended`` are the updates that were over by then.

    To be opened before the facts are read: what an update made until its end is then in the facts, and a VM that they
    do not show was not made. The other way round, a VM that was made in between would be overlooked.
    """

    file: LeaseFile
    owner: str
    book: Book
    ended: frozenset[Update]
    sharer: str | None = None

    @classmethod
    def open(cls, settings: Settings, owner: str, folder: Path = Path()) -> Claims:
        """Read the lease file of the settings, relative to a folder; a stack without GPUs needs none."""
        file = LeaseFile(folder / settings.state)
        book = file.read() if settings.gpu_count else Book()
        return cls(file, owner, book, ended(book.leases), sharer_of(settings))

    @property
    def leases(self) -> tuple[Lease, ...]:
        """The leases as they were."""
        return self.book.leases

    def evidence(self, facts: Mapping[str, HostFacts]) -> Evidence:
        """Return what speaks beside the lease file."""
        return Evidence(facts, self.ended, self.sharer)

    def findings(
        self, demands: Sequence[VmDemand], facts: Mapping[str, HostFacts], limits: Mapping[str, HostLimits]
    ) -> list[Finding]:
        """Return what the file says against the plan: other cards than before, cards that other VMs hold by lease.

        Cards that libvirt defines in another VM, or that the other cluster runs on, are the verdict's own findings.
        """
        found = identity(demands, facts, self.book.seen_by(self.owner), self.owner)
        found += self._names(self.book, demands, facts)
        _, conflicts = self._claimed(self.book, demands, facts)
        by_lease = [each for each in conflicts if isinstance(each.holder, Lease) and each.holder.owner != self.sharer]
        return found + self._told(self.book, by_lease, demands, facts, limits)

    def claim(
        self,
        demands: Sequence[VmDemand],
        facts: Mapping[str, HostFacts],
        limits: Mapping[str, HostLimits],
        at_last: Callable[[], Sequence[Finding]] = list,
    ) -> None:
        """Take all GPUs of the plan in one step, and note which cards they are.

        ``at_last`` is asked under the lock for what has come to forbid the update meanwhile.
        Raises GPUAlreadyAllocatedError with every conflict, if there is any: then nothing is taken.
        """
        if not any(demand.gpus for demand in demands):
            return

        def step(book: Book) -> Book:
            refuse(at_last())
            return self._step(book, demands, facts, limits)

        self.file.change(step)

    def _step(
        self,
        book: Book,
        demands: Sequence[VmDemand],
        facts: Mapping[str, HostFacts],
        limits: Mapping[str, HostLimits],
    ) -> Book:
        if names := self._names(book, demands, facts):
            raise GPUAlreadyAllocatedError(names)
        taken, conflicts = self._claimed(book, demands, facts)
        if conflicts:
            raise GPUAlreadyAllocatedError(self._told(book, conflicts, demands, facts, limits))
        return taken.remember(self.owner, _looked_at(demands, facts, self.owner))

    def _names(self, book: Book, demands: Sequence[VmDemand], facts: Mapping[str, HostFacts]) -> list[Finding]:
        """Return a refusal for each host of the plan that the lease file knows by another name.

        Leases of two names never meet, so both stacks would get the card.
        """
        evidence = self.evidence(facts)
        hosts = dict.fromkeys(demand.host for demand in demands if demand.gpus)
        told = ((host, evidence.elsewhere(book, host)) for host in hosts)
        return [other_name(host, leases[0], self.owner) for host, leases in told if leases]

    def _claimed(
        self, book: Book, demands: Sequence[VmDemand], facts: Mapping[str, HostFacts]
    ) -> tuple[Book, list[Conflict]]:
        wanted = [
            Wanted(
                demand.host,
                gpu.address,
                demand.name,
                functions_of(facts[demand.host], gpu),
                facts[demand.host].machine,
            )
            for demand, gpu in _cards(demands)
            if demand.host in facts
        ]
        return claim(book, wanted, self.evidence(facts), self.owner, running_update(), now())

    def _told(
        self,
        book: Book,
        conflicts: Sequence[Conflict],
        demands: Sequence[VmDemand],
        facts: Mapping[str, HostFacts],
        limits: Mapping[str, HostLimits],
    ) -> list[Finding]:
        evidence = self.evidence(facts)
        found: list[Finding] = []
        for conflict in conflicts:
            wanted = conflict.wanted
            here = [demand for demand in demands if demand.host == wanted.host]
            plan = HostPlan(facts[wanted.host], here, limits.get(wanted.host) or HostLimits(), self.owner, wanted.host)
            leases = [each for each in book.leases if each.host == wanted.host and not evidence.is_void(each)]
            free = Free(plan, (function for each in leases for function in each.devices))
            if isinstance(conflict.holder, Lease):
                found.append(leased(book, conflict.holder, self.owner, wanted.vm, wanted.gpu, evidence, free))
                continue
            for demand, gpu in _cards(here):
                if (demand.name, gpu.address) == (wanted.vm, wanted.gpu):
                    found += held(plan, demand, gpu, free)
        return found


def _cards(demands: Sequence[VmDemand]) -> Iterator[tuple[VmDemand, GpuDemand]]:
    for demand in demands:
        for gpu in demand.gpus:
            yield demand, gpu


def _looked_at(demands: Sequence[VmDemand], facts: Mapping[str, HostFacts], owner: str) -> Iterator[Seen]:
    """Yield what the facts tell of the cards of a plan."""
    at = now()
    for demand, gpu in _cards(demands):
        host = facts[demand.host]
        card = host.gpu(gpu.address)
        if card is not None:
            group = group_functions(host, card)
            yield Seen(
                owner, demand.host, gpu.address, card.vendor_device, card.serial, card.uuid, group, at, card.slot
            )
