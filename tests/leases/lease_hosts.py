"""Hosts with GPUs and VMs, for tests of leases."""

from __future__ import annotations

from typing import Any

from cluster.budget import GpuDemand, HostLimits, VmDemand
from cluster.host.model import HostFacts
from cluster.leases import Lease, Update

A, B, C = "0000:41:00.0", "0000:61:00.0", "0000:81:00.0"
CARDS = (A, B, C)
D, E = "0000:27:00.0", "0000:28:00.0"
JOINT = (D, E)
"""Two cards behind one bridge: one IOMMU group, so that each moves with the other."""
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


def moving(gpu: str, joint: tuple[str, ...] = JOINT) -> tuple[str, ...]:
    """Return the functions that move with a card, the card first."""
    cards = (gpu, *(each for each in joint if each != gpu)) if gpu in joint else (gpu,)
    return (gpu, *sorted(function for each in cards for function in (each, audio(each)) if function != gpu))


def host(
    *vms: dict[str, Any],
    name: str = "ws",
    cards: tuple[str, ...] = CARDS,
    joint: tuple[str, ...] = (),
    **more: Any,
) -> HostFacts:
    """Return a host with three cards, each alone in its IOMMU group with its audio function; ``joint`` share one."""
    numbers = {gpu: 90 if gpu in joint else number for number, gpu in enumerate((*cards, *joint))}
    raw = {
        "name": name,
        "cpu": {"vendor": "amd", "model": "EPYC", "cores": 64, "virtualization": True},
        "memory": "256GiB",
        "iommu": True,
        "live": True,
        "nics": [{"name": "eno1", "mbps": 10000}],
        "gpus": [_card(gpu, number, numbers[gpu]) for number, gpu in enumerate(numbers)],
        "iommu_groups": [
            _group([gpu for gpu, each in numbers.items() if each == number], number)
            for number in sorted(set(numbers.values()))
        ],
        "domains": list(vms),
        **more,
    }
    return HostFacts.model_validate(raw)


def _card(gpu: str, number: int, group: int) -> dict[str, Any]:
    return {
        "address": gpu,
        "vendor_device": "10de:26b1",
        "model": "NVIDIA RTX 6000 Ada Generation",
        "serial": f"13240230{number}",
        "uuid": f"GPU-{number:08d}-0000-0000-0000-000000000000",
        "compute_capability": "8.9",
        "memory": "48GiB",
        "iommu_group": group,
    }


def _group(gpus: list[str], number: int) -> dict[str, Any]:
    devices = [each for gpu in gpus for each in ((gpu, "vga"), (audio(gpu), "audio"))] + [("0000:40:01.1", "bridge")]
    return {"id": number, "devices": [{"address": a, "kind": k, "vendor_device": "10de:0001"} for a, k in devices]}


def demand(name: str, *gpus: str, host: str = "ws") -> VmDemand:
    """Return a VM's demand; of the cards that share a group each lists the other's functions, as the settings must."""
    wanted = (GpuDemand(gpu, moving(gpu)[1:]) if gpu in JOINT else GpuDemand(gpu) for gpu in gpus)
    return VmDemand(name, host, 4, 8192, {}, tuple(wanted))


def lease(gpu: str, owner: str = "cloud/prod", vm: str = "gpu-1", update: Update | None = None) -> Lease:
    return Lease("ws", gpu, owner, vm, SINCE, update)


LIMITS = {"ws": HostLimits()}
