"""What is where: the GPUs that both sides define, their VMs and their leases, from facts; and what is left alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from cluster.budget import GpuDemand, functions_of
from cluster.flip.model import Card, Cluster, Device, FlipError, HostView, Scene, Side, Vm
from cluster.host.model import Domain, HostFacts
from cluster.leases import Book, Lease
from cluster.settings.model import Hpc, Machine, Settings


def hosts_of(settings: Settings) -> tuple[str, ...]:
    """Return the hosts whose GPUs the stack uses, in the order of the settings."""
    used = {settings.host_of(machine).name for machine in settings.machines if machine.gpus}
    return tuple(host.name for host in settings.hosts if host.name in used)


def sharer(settings: Settings) -> Hpc:
    """Return the cluster that the GPUs are shared with. Raises FlipError where the settings name none."""
    if settings.hpc is None:
        raise FlipError("the settings name no HPC cluster to flip with; write a section hpc: {shares_gpus: true}")
    if not settings.hpc.shares_gpus:
        raise FlipError(
            f"{settings.hpc.name} shares no GPU with this stack: hpc.shares_gpus is off; set it to true if the VMs of"
            " both define the same GPUs"
        )
    return settings.hpc


def scene(
    settings: Settings,
    owner: str,
    facts: Mapping[str, HostFacts],
    leases: Iterable[Lease],
    cluster: Cluster,
    states: Mapping[str, str] | None = None,
) -> Scene:
    """Return what is where on the hosts of the facts.

    ``states`` are VM states that were asked one by one, by ``host/name``: finer than those of the facts. Raises
    FlipError with everything that forbids a flip.
    """
    hpc = sharer(settings)
    book = Book(tuple(leases))
    parts = [_HostScene(settings, hpc, owner, facts[host], book) for host in hosts_of(settings) if host in facts]
    problems = [problem for part in parts for problem in part.problems()] + _unfound(hpc, facts)
    if problems:
        raise FlipError("\n  ".join(problems) + "\nnothing was touched")
    cards = tuple(card for part in parts for card in part.cards)
    vms = tuple(vm for part in parts for vm in part.vms())
    planned = {(settings.host_of(each).name, gpu.address) for each in settings.machines for gpu in each.gpus}
    return Scene(
        owner=owner,
        hpc=hpc.name,
        vms=tuple(replace(vm, state=(states or {}).get(vm.key, vm.state)) for vm in vms),
        cards=cards,
        views={name: view(each) for name, each in facts.items()},
        cluster=cluster,
        controls=tuple(vm for part in parts for vm in part.controls()),
        models=tuple(model.name for model in settings.models if model.gpus),
        all_go=planned <= {(card.host, card.address) for card in cards},
        remarks=tuple(remark for part in parts for remark in part.remarks()),
    )


def view(facts: HostFacts) -> HostView:
    """Return a host's PCI functions, and what its running VMs have."""
    devices = {
        each.address: Device(each.address, each.vendor_device, each.driver)
        for group in facts.iommu_groups
        for each in group.devices
    }
    devices |= {gpu.address: Device(gpu.address, gpu.vendor_device, gpu.driver) for gpu in facts.gpus}
    held = {
        vm.name: vm.hostdevs if vm.attached is None else vm.attached for vm in facts.domains if vm.state != "shut-off"
    }
    return HostView(devices, held)


def _unfound(hpc: Hpc, facts: Mapping[str, HostFacts]) -> list[str]:
    known = {domain.name for host in facts.values() for domain in host.domains}
    return [
        f"hpc.vms names {name}, which is not defined on {', '.join(facts)}; take it out, or define it"
        for name in hpc.vms
        if name not in known
    ]


@dataclass(frozen=True)
class _HostScene:
    """One host of the scene."""

    settings: Settings
    hpc: Hpc
    owner: str
    facts: HostFacts
    book: Book

    @property
    def cards(self) -> list[Card]:
        """The GPUs that both sides define, or that the HPC cluster still has the lease of."""
        return [card for card in self._candidates() if card.hpc or (card.lease and card.lease[0] == self.hpc.name)]

    def vms(self) -> Iterator[Vm]:
        """Yield the VMs that define a shared GPU."""
        sides: tuple[Side, Side] = ("cloud", "hpc")
        for side in sides:
            names = {name for card in self.cards for name in card.vms(side)}
            for each in self.facts.domains:
                if each.name in names:
                    yield Vm(side, self.facts.name, self._uri, each.name, each.state, each.autostart, each.hostdevs)

    def controls(self) -> Iterator[Vm]:
        """Yield the stack's control planes."""
        names = {machine.name for machine in self.settings.by_role("control-plane")}
        for each in self.facts.domains:
            if each.name in names and each.owner == self.owner:
                yield Vm("cloud", self.facts.name, self._uri, each.name, each.state, each.autostart)

    @property
    def _uri(self) -> str:
        return next(host.uri for host in self.settings.hosts if host.name == self.facts.name)

    def problems(self) -> Iterator[str]:
        """Yield what forbids any flip here."""
        for domain in self.facts.domains:
            if domain.name in self.hpc.vms and domain.owner not in (None, self.hpc.name):
                yield f"hpc.vms names {domain.name}, which belongs to {domain.owner}; take it out"
        for machine, found in self._machines():
            if found is not None and found.owner != self.owner:
                owner = found.owner or "nobody we know"
                yield f"{machine.name} on {self.facts.name} belongs to {owner}, not to {self.owner}; rename one of them"
        for card in self.cards:
            if card.lease and card.lease[0] not in (self.owner, self.hpc.name):
                holder = f"{card.lease[1]} of {card.lease[0]}"
                yield f"GPU {card.address} of {card.host} is leased to {holder}; see: cloudctl gpus"

    def remarks(self) -> Iterator[str]:
        """Yield what is left alone, and what might surprise."""
        shared = {card.address for card in self.cards}
        for card in self._candidates():
            if card.address not in shared:
                vm = card.cloud[0] if card.cloud else card.planned
                yield f"GPU {card.address} of {vm} is left alone: no VM of {self.hpc.name} defines it"
        mine = {function for card in self.cards for function in card.functions}
        gpus = {gpu.address for gpu in self.facts.gpus}
        for domain in self._hpc():
            others = [address for address in domain.hostdevs if address in gpus - mine]
            if others:
                yield f"GPU {', '.join(others)} of {domain.name} is left alone: no VM of this stack defines it"
            if domain.name in self.hpc.vms and not shared & set(domain.hostdevs):
                yield f"{domain.name} is left alone: it defines none of the GPUs of this stack"
        for card in self.cards:
            yield from self._incomplete(card)

    def _incomplete(self, card: Card) -> Iterator[str]:
        for domain in self.facts.domains:
            if domain.name not in (*card.cloud, *card.hpc):
                continue
            lacking = [function for function in card.functions if function not in domain.hostdevs]
            if lacking:
                yield (
                    f"{domain.name} defines GPU {card.address} without {', '.join(lacking)} of its IOMMU group; it will"
                    " start only if no driver of the host holds that"
                )

    def _candidates(self) -> list[Card]:
        """Return a card for each GPU that the stack plans or a VM of it defines."""
        planned = {gpu.address: (machine.name, gpu.siblings) for machine, _ in self._machines() for gpu in machine.gpus}
        mine = [domain for domain in self.facts.domains if domain.owner == self.owner]
        functions = {
            address: functions_of(self.facts, GpuDemand(address, siblings))
            for address, (_, siblings) in planned.items()
        }
        for gpu in self.facts.gpus:
            if any(gpu.address in moving for moving in functions.values()):
                continue  # a second GPU of a card's IOMMU group goes where that card goes
            for domain in mine:
                if gpu.address in domain.hostdevs and gpu.address not in planned:
                    planned[gpu.address] = (domain.name, "auto")
                    functions[gpu.address] = functions_of(self.facts, GpuDemand(gpu.address))
        return [
            Card(
                host=self.facts.name,
                address=address,
                functions=functions[address],
                planned=name,
                cloud=tuple(domain.name for domain in mine if address in domain.hostdevs),
                hpc=tuple(domain.name for domain in self._hpc() if address in domain.hostdevs),
                lease=self._lease(functions[address]),
            )
            for address, (name, _) in planned.items()
        ]

    def _lease(self, functions: Iterable[str]) -> tuple[str, str] | None:
        """Return (owner, VM) of the lease that keeps a card, or anything that moves with it."""
        leases = (self.book.of(self.facts.name, function) for function in functions)
        return next((lease.holder for lease in leases if lease), None)

    def _hpc(self) -> list[Domain]:
        mine = [domain for domain in self.facts.domains if domain.owner in (None, self.hpc.name)]
        if self.hpc.vms:
            return [domain for domain in mine if domain.name in self.hpc.vms]
        return [domain for domain in mine if domain.name.startswith(f"{self.hpc.name}-")]

    def _machines(self) -> Iterator[tuple[Machine, Domain | None]]:
        """Yield the stack's machines with GPUs here, and what is defined under their names."""
        for machine in self.settings.machines:
            if machine.gpus and self.settings.host_of(machine).name == self.facts.name:
                yield machine, next((each for each in self.facts.domains if each.name == machine.name), None)
