"""Stacks of any size: settings of N VMs, derived from the production stack, and twins of hosts that carry them.

One control plane; of the others each sixth is a GPU worker with a card of its own. A host carries up to 50 VMs, so
that a stack grows as a site would: by hosts. Everything inside Kubernetes stays what the production stack has.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any, Final

import yaml

from cluster.settings.model import NAMESPACE
from lab.workspace import ROOT

VMS_PER_HOST: Final = 50
MACHINES: Final = f"{NAMESPACE}:machines"
_CIDR: Final = "10.20.0.0/16"
_FIRST: Final = IPv4Address("10.20.1.0")
_GPU_EACH: Final = 6


def stack_name(vms: int) -> str:
    """Return the name of the stack with that many VMs."""
    return f"vms-{vms}"


def stack_document(vms: int) -> dict[str, Any]:
    """Return the content of a ``Pulumi.<stack>.yaml`` with ``vms`` machines on as few hosts as carry them."""
    document: dict[str, Any] = yaml.safe_load((ROOT / "Pulumi.prod.yaml").read_text())
    config = document["config"]
    first = config[f"{NAMESPACE}:hosts"][0]
    config[f"{NAMESPACE}:hosts"] = [
        {**first, "name": name, "uri": f"qemu+ssh://root@{name}/system"} for name in host_names(vms)
    ]
    network = config[f"{NAMESPACE}:network"]
    config[f"{NAMESPACE}:network"] = {**network, "mode": "bridge", "bridge": "br0", "cidr": _CIDR}
    config[MACHINES] = [_machine(number) for number in range(vms)]
    return document


def host_twins(vms: int) -> list[dict[str, Any]]:
    """Return the facts of the stack's hosts, in the shape of a file in ``lab/hosts``."""
    machines = [_machine(number) for number in range(vms)]
    return [
        _twin(name, [gpu["address"] for each in machines if each["host"] == name for gpu in each.get("gpus", ())])
        for name in host_names(vms)
    ]


def host_names(vms: int) -> list[str]:
    """Return the names of the hosts that carry so many VMs."""
    return [f"rack-{number + 1:02d}" for number in range(-(-vms // VMS_PER_HOST))]


def _machine(number: int) -> dict[str, Any]:
    common = {
        "host": host_names(number + 1)[-1],
        "address": str(_FIRST + number),
    }
    if number == 0:
        return {"name": "control-1", "role": "control-plane", "cores": 6, "memory": "12GiB", "disk": "150GiB", **common}
    if number % _GPU_EACH == 1:
        gpu = {"address": _gpu_address(number % VMS_PER_HOST), "siblings": "auto"}
        sizes = {"cores": 12, "memory": "32GiB", "disk": "300GiB"}
        return {"name": f"gpu-{number}", "role": "gpu-worker", **sizes, **common, "gpus": [gpu]}
    return {"name": f"worker-{number}", "role": "worker", "cores": 6, "memory": "16GiB", "disk": "150GiB", **common}


def _gpu_address(slot: int) -> str:
    return f"0000:{slot + 1:02x}:00.0"


def _twin(name: str, gpus: list[str]) -> dict[str, Any]:
    disk = {"capacity": "32TiB", "device": "nvme"}
    return {
        "name": name,
        "cpu": {"vendor": "amd", "model": "two sockets, composed", "cores": 384, "virtualization": True},
        "memory": "2TiB",
        "iommu": True,
        "pools": [{"name": "default", "path": "/var/lib/libvirt/images", **disk}, {"name": "/", "path": "/", **disk}],
        "nics": [{"name": "eth0", "mbps": 100000}],
        "gpus": [_gpu(address, group) for group, address in enumerate(gpus)],
        "iommu_groups": [_group(address, group) for group, address in enumerate(gpus)],
        "bridges": ["br0"],
        "kernel": "6.12.48",
        "libvirt": "11.3.0",
        "qemu": "10.0.3",
    }


def _gpu(address: str, group: int) -> dict[str, Any]:
    return {
        "address": address,
        "vendor_device": "10de:26b1",
        "model": "NVIDIA RTX 6000 Ada Generation",
        "compute_capability": "8.9",
        "memory": "49140MiB",
        "driver": "vfio-pci",
        "iommu_group": group,
    }


def _group(address: str, group: int) -> dict[str, Any]:
    audio = {"address": f"{address[:-1]}1", "kind": "audio", "vendor_device": "10de:22ba", "driver": "vfio-pci"}
    return {
        "id": group,
        "devices": [{"address": address, "kind": "vga", "vendor_device": "10de:26b1", "driver": "vfio-pci"}, audio],
    }
