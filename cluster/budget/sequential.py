"""One cluster after the other: is it enough to stop the HPC cluster's VMs, and which of them?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cluster.budget.demand import demands_from
from cluster.budget.findings import refusals
from cluster.budget.gpus import functions_of
from cluster.budget.limits import HostLimits
from cluster.budget.nearest import Also
from cluster.budget.sharing import FLIP
from cluster.budget.verdict import judge
from cluster.host.model import Domain, HostFacts
from cluster.settings.model import Hpc, Settings


@dataclass(frozen=True)
class Stop:
    """A command that stops VMs of the HPC cluster, and which; ``flip``: it also changes who may run on the GPUs."""

    host: str
    vms: tuple[str, ...]
    command: str
    flip: bool = False


def enough_to_stop(
    settings: Settings,
    facts: Mapping[str, HostFacts],
    owner: str,
    limits: Mapping[str, HostLimits],
    stack: str,
    also: Also = lambda _: (),
) -> list[Stop]:
    """Return what to stop so that the plan fits as it is; empty where it does already, or where that is not enough.

    VMs that may go on running are left out. A GPU that such a VM defines stays with it unless ``hpc.shares_gpus`` is
    on: a definition outlives the VM's run.
    """
    hpc = settings.hpc
    if hpc is None or not refusals([*judge(demands_from(settings), facts, limits, owner), *also(settings)]):
        return []
    running = [(host, vm) for host, each in facts.items() for vm in each.domains if _theirs(hpc, vm)]
    off = {(host, vm.name) for host, vm in running}
    if not _passes(settings, facts, owner, limits, also, off):
        return []
    for key in sorted(off):
        if _passes(settings, facts, owner, limits, also, off - {key}):
            off.discard(key)
    stops = [(host, vm) for host, vm in running if (host, vm.name) in off]
    return _commands(settings, hpc, facts, limits, stack, stops)


def _theirs(hpc: Hpc, vm: Domain) -> bool:
    """Whether a running VM is the HPC cluster's: by its mark, or where it has none by its name."""
    if vm.state == "shut-off" or vm.owner not in (None, hpc.name):
        return False
    return vm.owner == hpc.name or vm.name in hpc.vms or vm.name.startswith(f"{hpc.name}-")


def _passes(
    settings: Settings,
    facts: Mapping[str, HostFacts],
    owner: str,
    limits: Mapping[str, HostLimits],
    also: Also,
    off: set[tuple[str, str]],
) -> bool:
    """Whether the plan passes with these VMs shut off and the leases of shared GPUs taken back, as a flip does both."""
    then = {
        host: each.model_copy(
            update={
                "domains": tuple(
                    vm.model_copy(update={"state": "shut-off"}) if (host, vm.name) in off else vm for vm in each.domains
                )
            }
        )
        for host, each in facts.items()
    }
    returned = {host: replace(each, lent=()) for host, each in limits.items()}
    return not refusals([*judge(demands_from(settings), then, returned, owner), *also(settings)])


def _commands(
    settings: Settings,
    hpc: Hpc,
    facts: Mapping[str, HostFacts],
    limits: Mapping[str, HostLimits],
    stack: str,
    stops: list[tuple[str, Domain]],
) -> list[Stop]:
    planned = {
        (demand.host, function)
        for demand in demands_from(settings)
        if demand.host in facts
        for gpu in demand.gpus
        for function in functions_of(facts[demand.host], gpu)
    }
    shared = [(host, vm) for host, vm in stops if hpc.shares_gpus and planned & {(host, each) for each in vm.hostdevs}]
    lent = any(each.lent for each in limits.values())
    found = []
    if shared or lent:
        hosts = ", ".join(dict.fromkeys(host for host, _ in shared)) or settings.hosts[0].name
        found.append(Stop(hosts, tuple(vm.name for _, vm in shared), f"{FLIP} --stack {stack}", flip=True))
    for host, vm in stops:
        if (host, vm) not in shared:
            drain = f"{hpc.drain} {vm.name} && " if hpc.drain else ""
            found.append(Stop(host, (vm.name,), f"{drain}{limits[host].stop_command(vm.name)}"))
    return found
