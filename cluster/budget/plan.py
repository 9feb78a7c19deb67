"""One host's side of the verdict: its facts, what is planned on it, who else lives there; every index made once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from cluster.budget.demand import VmDemand
from cluster.budget.findings import Finding
from cluster.budget.limits import HostLimits
from cluster.host.model import Domain, GpuFacts, HostFacts, IommuGroup, PoolFacts


@dataclass(frozen=True)
class HostPlan:
    """What is planned on a host, next to what is known of it; ``owner`` is this stack's, as in ``Domain.owner``."""

    facts: HostFacts
    demands: Sequence[VmDemand]
    limits: HostLimits
    owner: str
    name: str = field(default="")

    @property
    def host(self) -> str:
        """The host's name in the settings."""
        return self.name or self.facts.name

    @cached_property
    def running_others(self) -> list[Domain]:
        """VMs of others that hold cores and memory now; a paused one keeps both."""
        return [domain for domain in self.facts.domains if domain.owner != self.owner and domain.state != "shut-off"]

    @cached_property
    def domains(self) -> Mapping[str, Domain]:
        """Every VM defined on the host, by name."""
        return {domain.name: domain for domain in self.facts.domains}

    @cached_property
    def holders(self) -> Mapping[str, list[Domain]]:
        """The VMs that have a PCI function as hostdev, by address: others' before ours, running ones first."""
        ranked = sorted(self.facts.domains, key=lambda each: (each.owner == self.owner, each.state == "shut-off"))
        held: dict[str, list[Domain]] = {}
        for domain in ranked:
            for address in domain.hostdevs:
                held.setdefault(address, []).append(domain)
        return held

    def sleeps(self, vm: Domain) -> bool:
        """Whether a VM's definition keeps nobody from its cards: one of the cluster that we share with, shut off."""
        return vm.owner is not None and vm.owner == self.limits.sharer and vm.state == "shut-off"

    def blocking(self, address: str) -> list[Domain]:
        """Return the VMs that keep others from a PCI function, in the order of ``holders``."""
        return [vm for vm in self.holders.get(address, ()) if not self.sleeps(vm)]

    @cached_property
    def gpus(self) -> Mapping[str, GpuFacts]:
        """The host's GPUs by address."""
        return {gpu.address: gpu for gpu in self.facts.gpus}

    @cached_property
    def groups(self) -> Mapping[int, IommuGroup]:
        """The host's IOMMU groups by number."""
        return {group.id: group for group in self.facts.iommu_groups}

    @property
    def wants_gpus(self) -> bool:
        """Whether any VM planned here gets a GPU."""
        return any(demand.gpus for demand in self.demands)

    def pool(self, name: str) -> PoolFacts | None:
        """Return the pool of a name, else the file system or pool on whose path it will be made, else None."""
        by_name = next((pool for pool in self.facts.pools if pool.name == name), None)
        path = self.limits.pools.get(name)
        if by_name or not path:
            return by_name
        under = [pool for pool in self.facts.pools if _is_under(path, pool.path)]
        return max(under, key=lambda pool: len(pool.path), default=None)

    def reason(self, path: str) -> str:
        """Return why a fact is not known: the reason recorded for it, or for the nearest part around it."""
        while path:
            if path in self.facts.unknown:
                return self.facts.unknown[path]
            path = path.rpartition(".")[0]
        return "the facts do not say"

    def is_unknown(self, path: str) -> bool:
        """Whether a part of the facts is recorded as not read."""
        return path in self.facts.unknown

    def unknown(self, path: str, what: str, vm: str | None = None) -> Finding:
        """Return the refusal for a fact that the verdict needs and nobody could read."""
        remedy = (
            "mend that and run again, or write the facts to a file (cloudctl host facts > FILE), fill it in by hand and"
            f" name it in hosts[{self.host}].facts"
        )
        message = f"{what} of host {self.host} is not known: {self.reason(path)}"
        return Finding("fact-unknown", "refuse", self.host, vm, message, remedy)


def _is_under(path: str, folder: str) -> bool:
    return folder == "/" or path == folder or path.startswith(folder.rstrip("/") + "/")
