"""Hosts with GPUs and VMs, for tests of leases."""

from __future__ import annotations

from typing import Any

from cluster.budget import GpuDemand, HostLimits, VmDemand
from cluster.host.model import HostFacts
from cluster.leases import Lease, Update

A, B, C = "0000:41:00.0", "0000:61:00.0", "0000:81:00.0"
CARDS = (A, B, C)
SINCE = "2026-01-01T00:00:00+00:00"
NOW = "2026-02-02T00:00:00+00:00"
OVER = Update("an earlier boot", 1, 1)
"""An update that is over on every machine: no kernel ever had that boot id."""


def audio(gpu: str) -> str:
    return gpu[:-1] + "1"


def vm(name: str, owner: str | None, *gpus: str, state: str = "running", **more: Any) -> dict[str, Any]:
    """Return a VM as facts say it, with each card's audio function."""
    functions = [function for gpu in gpus for function in (gpu, audio(gpu))]
    return {
        "name": name,
        "owner": owner,
        "state": state,
        "cores": 4,
        "memory": "8GiB",
        "hostdevs": functions,
        **more,
    }


def host(*vms: dict[str, Any], name: str = "ws", cards: tuple[str, ...] = CARDS, **more: Any) -> HostFacts:
    """Return a host with three cards, each alone in its IOMMU group with its audio function."""
    raw = {
        "name": name,
        "cpu": {"vendor": "amd", "model": "EPYC", "cores": 64, "virtualization": True},
        "memory": "256GiB",
        "iommu": True,
        "live": True,
        "nics": [{"name": "eno1", "mbps": 10000}],
        "gpus": [_card(gpu, number) for number, gpu in enumerate(cards)],
        "iommu_groups": [_group(gpu, number) for number, gpu in enumerate(cards)],
        "domains": list(vms),
        **more,
    }
    return HostFacts.model_validate(raw)


def _card(gpu: str, number: int) -> dict[str, Any]:
    return {
        "address": gpu,
        "vendor_device": "10de:26b1",
        "model": "NVIDIA RTX 6000 Ada Generation",
        "serial": f"13240230{number}",
        "uuid": f"GPU-{number:08d}-0000-0000-0000-000000000000",
        "compute_capability": "8.9",
        "memory": "48GiB",
        "iommu_group": number,
    }


def _group(gpu: str, number: int) -> dict[str, Any]:
    devices = [(gpu, "vga"), (audio(gpu), "audio"), ("0000:40:01.1", "bridge")]
    return {"id": number, "devices": [{"address": a, "kind": k, "vendor_device": "10de:0001"} for a, k in devices]}


def demand(name: str, *gpus: str, host: str = "ws") -> VmDemand:
    return VmDemand(name, host, 4, 8192, {}, tuple(GpuDemand(gpu) for gpu in gpus))


def lease(gpu: str, owner: str = "cloud/prod", vm: str = "gpu-1", update: Update | None = None) -> Lease:
    return Lease("ws", gpu, owner, vm, SINCE, update)


LIMITS = {"ws": HostLimits()}
