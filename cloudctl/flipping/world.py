"""The real world of a flip: hosts, cluster and lease file of a stack."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from cloudctl.exits import CannotTellError
from cloudctl.flipping import devices, kube, outside
from cloudctl.virsh import Virsh
from cluster.budget import GPUAlreadyAllocatedError
from cluster.flip.commands import Command
from cluster.flip.model import Card, Cluster, FlipError, HostView, Scene, Vm
from cluster.flip.scene import hosts_of, scene
from cluster.flip.world import Outcome
from cluster.host.collect import collect
from cluster.host.model import HostFacts
from cluster.leases import LeaseFile
from cluster.leases.update import state_of
from cluster.settings.model import Host, Settings

NEEDED = ("domains", "gpus", "iommu_groups")
"""Parts of the facts without which nothing can be said of who has a device."""


@dataclass(frozen=True)
class RealWorld:
    """A stack's hosts, its cluster and its lease file. Raises CannotTellError where a host does not answer."""

    settings: Settings
    owner: str
    kubeconfig: Path
    leases: LeaseFile
    virsh: Virsh = field(default_factory=Virsh)

    def look(self) -> Scene:
        """Read everything anew; hosts are read side by side."""
        facts = self._facts()
        known = self.leases.all()
        rough = scene(self.settings, self.owner, facts, known, Cluster())
        # The facts know three states; one that sleeps or has crashed still holds its devices.
        states = {vm.key: self.state(vm) for vm in rough.vms}
        found = scene(self.settings, self.owner, facts, known, self.cluster(), states)
        return replace(found, updates=self.updates())

    def state(self, vm: Vm) -> str:
        """Return a VM's state now."""
        return self.virsh.state(vm.uri, vm.name)

    def starts_with_host(self, vm: Vm) -> bool:
        """Whether a VM is set to autostart."""
        return self.virsh.starts_with_host(vm.uri, vm.name)

    def view(self, host: str, functions: Sequence[str]) -> HostView:
        """Return some PCI functions of a host, those that are there, and what its running VMs have."""
        return devices.view(self._host(host), functions, self.virsh)

    def cluster(self) -> Cluster:
        """Return what the Kubernetes API says now."""
        return kube.cluster(self.kubeconfig, services=any(model.gpus for model in self.settings.models))

    def run(self, command: Command, seconds: float) -> Outcome:
        """Run a command without a shell, so long at most."""
        return outside.run(command, seconds)

    def updates(self) -> tuple[str, ...]:
        """Return the updates of the stack that hold leases and whose engine runs.

        Asked for under the file's lock: an update that is just about to take its leases is waited for.
        """
        leases = self.leases.change(lambda book: book).leases
        mine = {lease.update for lease in leases if lease.owner == self.owner and lease.update}
        running = sorted(update.pid for update in mine if state_of(update) == "running")
        return tuple(f"an update of this stack (process {pid})" for pid in running)

    def transfer(self, card: Card, giver: tuple[str, str], taker: tuple[str, str]) -> None:
        """Hand a card's lease over. Raises FlipError where an update is at work for it, or a third VM has it."""
        try:
            self.leases.transfer(card.host, card.address, giver, taker, card.functions)
        except GPUAlreadyAllocatedError as error:
            raise FlipError("; ".join(str(finding) for finding in error.findings)) from None

    def time(self) -> float:
        """Return seconds of a clock that never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def _facts(self) -> Mapping[str, HostFacts]:
        names = hosts_of(self.settings)
        filed = [f"{host.name} ({host.facts})" for host in self.settings.hosts if host.name in names and host.facts]
        if filed:
            raise CannotTellError(
                f"the facts of host {', '.join(filed)} come from a file, so there is no live host to act on;"
                " take hosts[].facts out of the settings to work on the real one"
            )
        with ThreadPoolExecutor(max_workers=max(1, min(8, len(names)))) as pool:
            return dict(zip(names, pool.map(self._read, names), strict=True))

    def _host(self, name: str) -> Host:
        return next(host for host in self.settings.hosts if host.name == name)

    def _read(self, name: str) -> HostFacts:
        facts = collect(self._host(name))
        reasons = dict.fromkeys(facts.unknown[part] for part in NEEDED if part in facts.unknown)
        if reasons:
            raise CannotTellError(f"host {name} does not say who has which device: {'; '.join(reasons)}; mend that")
        return facts
