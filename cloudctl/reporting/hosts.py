"""The hosts as the page draws them: who has which cores, memory, disk and GPUs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cluster.host.model import HostFacts
from cluster.settings.model import Settings
from cluster.types import gb


def cards(
    settings: Settings,
    hosts: Mapping[str, HostFacts | str],
    vms: Sequence[Mapping[str, Any]],
    gpus: Sequence[Mapping[str, Any]],
    resources: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Return an entry per host of the settings, in their order.

    ``vms``, ``gpus``: rows of ``cloudctl status`` and ``cloudctl gpus``; ``resources``: hosts of ``cloudctl capacity``.
    A host that could not be asked has ``why`` and what is planned on it; nothing is guessed.
    """
    sums = {row["host"]: row["resources"] for row in resources}
    found = []
    for host in settings.hosts:
        facts = hosts.get(host.name, "was not asked")
        here = [gpu for gpu in gpus if gpu["host"] == host.name]
        drawn = {vm["name"] for vm in vms if vm["host"] == host.name}
        known = facts if isinstance(facts, HostFacts) else None
        found.append(
            {
                "name": host.name,
                "uri": host.uri,
                "why": None if known else str(facts),
                "about": _about(known) if known else [],
                "resources": sums.get(host.name, []),
                "vms": [_own(vm, here) for vm in vms if vm["host"] == host.name],
                "others": _others(known, {vm["name"] for vm in vms}, here) if known else [],
                "gpus": [_gpu(gpu) for gpu in here if gpu["vm"] is None and gpu["planned_for"] not in drawn],
            }
        )
    return found


def _about(facts: HostFacts) -> list[str]:
    """Return what the host is, in short pieces; what is not known is said so."""
    cpu = facts.cpu
    cores = f"{cpu.cores} cores" if cpu.cores else "cores unknown"
    iommu = {True: "IOMMU on", False: "IOMMU off", None: "IOMMU unknown"}[facts.iommu]
    versions = [(name, getattr(facts, name)) for name in ("kernel", "libvirt", "qemu")]
    links = [f"{nic.name} {nic.mbps} Mb/s" for nic in facts.nics if nic.up and nic.mbps]
    return [
        cpu.model,
        cores,
        gb(facts.memory) if facts.memory else "memory unknown",
        iommu,
        *(f"{name} {value}" for name, value in versions if value),
        *links,
    ]


def _own(vm: Mapping[str, Any], gpus: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a VM of the stack with its GPUs: those that it holds, else those that are planned for it."""
    has = [gpu for gpu in gpus if gpu["vm"] == vm["name"] or (gpu["vm"] is None and gpu["planned_for"] == vm["name"])]
    return {
        "name": vm["name"],
        "role": vm["role"] or "unknown",
        "address": vm["address"] or "unknown",
        "size": _size(vm["cores"], vm["memory_mib"]),
        "state": vm["state"],
        "owner": None,
        "gpus": [_gpu(gpu) for gpu in has],
    }


def _others(facts: HostFacts, own: set[str], gpus: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "name": each.name,
            "role": each.role or "",
            "address": "",
            "size": _size(each.cores, each.memory),
            "state": each.state,
            "owner": each.owner or "not known",
            "gpus": [_gpu(gpu) for gpu in gpus if gpu["vm"] == each.name],
        }
        for each in facts.domains
        if each.name not in own
    ]


def _gpu(gpu: Mapping[str, Any]) -> dict[str, Any]:
    memory = gb(int(gpu["memory_mib"])) if gpu["memory_mib"] else "memory unknown"
    return {
        "address": gpu["address"],
        "model": gpu["model"] or "a card that nobody knows",
        "memory": memory,
        "state": gpu["state"],
        "owner": gpu["owner"],
        "planned_for": gpu["planned_for"],
    }


def _size(cores: object, memory: object) -> str:
    parts = [f"{cores} vCPU" if cores else "vCPUs unknown"]
    return ", ".join([*parts, gb(int(memory)) if isinstance(memory, int | float) else "memory unknown"])
