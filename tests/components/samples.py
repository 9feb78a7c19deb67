"""Settings and host facts for component tests: a small production stack, and changes to it."""

from __future__ import annotations

import copy
from typing import Any

from cluster.host.model import HostFacts
from cluster.settings.model import Secrets, Settings

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4SMPLEsampleSAMPLEsampleSAMPLEsampleSAMPLE someone@example"

_RAW: dict[str, Any] = {
    "hosts": [{"name": "box", "uri": "qemu:///system"}],
    "access": {"ssh_public_key": KEY},
    "machines": [
        {
            "name": "control-1",
            "role": "control-plane",
            "cores": 6,
            "memory": "12GiB",
            "disk": "150GiB",
            "address": "192.168.200.11",
        },
        {
            "name": "worker-1",
            "role": "worker",
            "cores": 6,
            "memory": "16GiB",
            "disk": "150GiB",
            "address": "192.168.200.21",
        },
        {
            "name": "gpu-1",
            "role": "gpu-worker",
            "cores": 12,
            "memory": "32GiB",
            "disk": "300GiB",
            "address": "192.168.200.31",
            "gpus": [{"address": "0000:41:00.0", "siblings": "auto"}],
        },
    ],
    "secrets": dict.fromkeys(Secrets.made(), "not-a-real-password"),
}


def raw() -> dict[str, Any]:
    """Return the sample's sections, to change and hand to ``settings``."""
    return copy.deepcopy(_RAW)


def settings(sections: dict[str, Any] | None = None, **more: Any) -> Settings:
    """Return the sample, or the given sections, with whole sections replaced by ``more``."""
    return Settings.model_validate({**(sections or raw()), **more})


def facts(name: str = "box") -> HostFacts:
    """Return a host with two GPUs, each with its audio function; the first one's IOMMU group holds a root port too."""
    return HostFacts.model_validate(
        {
            "name": name,
            "cpu": {"vendor": "amd", "model": "EPYC", "cores": 64, "virtualization": True},
            "memory": "256GiB",
            "iommu": True,
            "pools": [{"name": "inference-cloud", "path": "/var/lib/libvirt/inference-cloud", "capacity": "4TiB"}],
            "nics": [{"name": "eno1", "mbps": 10000}],
            "gpus": [_gpu("0000:41:00.0", 14), _gpu("0000:81:00.0", 22)],
            "iommu_groups": [
                _group(14, ("0000:40:01.1", "bridge"), ("0000:41:00.0", "vga"), ("0000:41:00.1", "audio")),
                _group(22, ("0000:81:00.0", "vga"), ("0000:81:00.1", "audio")),
            ],
        }
    )


def _gpu(address: str, group: int) -> dict[str, Any]:
    card = {"vendor_device": "10de:2204", "model": "RTX 3090", "compute_capability": "8.6", "memory": "24GiB"}
    return {"address": address, "iommu_group": group, **card}


def _group(number: int, *devices: tuple[str, str]) -> dict[str, Any]:
    return {
        "id": number,
        "devices": [{"address": at, "kind": kind, "vendor_device": "10de:1aef"} for at, kind in devices],
    }
