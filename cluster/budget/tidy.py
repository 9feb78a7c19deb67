"""What else has to change in a plan that was made smaller: pins, windows, the taint of GPU workers, volumes."""

from __future__ import annotations

from collections.abc import Mapping

from cluster.host.model import HostFacts
from cluster.settings.model import Machine, Settings
from cluster.types import MIB_PER_GIB, cpu_list, host_cpus, mib

STORES = ("object_store", "database", "monitoring")
"""Sections with a volume that lies on one machine's disk."""


def tidied(before: Settings, fitted: Settings, facts: Mapping[str, HostFacts]) -> Settings:
    """Return a smaller plan without what contradicts it: nothing here asks a host for more."""
    machines = tuple(_pinned(machine, facts.get(fitted.host_of(machine).name)) for machine in fitted.machines)
    changed: dict[str, object] = {"machines": machines}
    roles = {machine.role for machine in machines}
    if before.kubernetes.gpu_taint and "worker" not in roles:
        # it would leave no node to pods without GPUs
        changed["kubernetes"] = before.kubernetes.model_copy(update={"gpu_taint": False})
    largest = max((int(machine.disk) for machine in machines), default=0)
    for key in STORES:
        section = getattr(before, key)
        if int(section.size) >= largest > 0:
            half = max(largest // 2 // MIB_PER_GIB, 1)
            changed[key] = section.model_copy(update={"size": mib(f"{half}GiB")})
    return fitted.model_copy(update=changed)


def _pinned(machine: Machine, facts: HostFacts | None) -> Machine:
    """Keep as many of a machine's host CPUs as it has cores; none where the host lacks one of them."""
    if machine.cpu_pinning is None:
        return machine
    cpus = host_cpus(machine.cpu_pinning)[: machine.cores]
    threads = facts.cpu.threads if facts else None
    if threads is not None and max(cpus, default=0) >= threads:
        return machine.model_copy(update={"cpu_pinning": None})
    if cpus == host_cpus(machine.cpu_pinning):
        return machine
    return machine.model_copy(update={"cpu_pinning": cpu_list(cpus)})
