"""What a plan asks of hosts: one VmDemand per VM, from settings or from the props of planned resources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cluster.settings.model import Settings
from cluster.types import parse_pci

Siblings = Literal["auto"] | tuple[str, ...]


@dataclass(frozen=True)
class GpuDemand:
    """A GPU that a VM wants by PCI address; ``siblings`` as in the settings: auto, or the rest of its IOMMU group.

    ``serial`` and ``uuid`` say which card it has to be; None: whichever is there.
    """

    address: str
    siblings: Siblings = "auto"
    serial: str | None = None
    uuid: str | None = None


@dataclass(frozen=True)
class VmDemand:
    """A VM's share of a host: vCPUs, MiB of memory, MiB of disk per libvirt pool, GPUs; and its IPv4 address."""

    name: str
    host: str
    cores: int
    memory_mib: int
    disks: Mapping[str, int] = field(default_factory=dict)
    gpus: tuple[GpuDemand, ...] = ()
    address: str | None = None

    @property
    def disk_mib(self) -> int:
        """The disk of all pools together, in MiB."""
        return sum(self.disks.values())


def demands_from(settings: Settings) -> list[VmDemand]:
    """Return what each machine of the settings asks of its host, in the file's order."""
    pools = {host.name: host.pool.name for host in settings.hosts}
    return [
        VmDemand(
            name=machine.name,
            host=(host := machine.host or settings.hosts[0].name),
            cores=machine.cores,
            memory_mib=int(machine.memory),
            disks={pools.get(host, ""): int(machine.disk)},
            gpus=tuple(GpuDemand(gpu.address, gpu.siblings, gpu.serial, gpu.uuid) for gpu in machine.gpus),
            address=str(machine.address),
        )
        for machine in settings.machines
    ]


def demand_props(demand: VmDemand) -> dict[str, Any]:
    """Return a demand as resource props: plain JSON, equal for equal demands."""
    return {
        "name": demand.name,
        "host": demand.host,
        "cores": demand.cores,
        "memory_mib": demand.memory_mib,
        "disks": dict(sorted(demand.disks.items())),
        "gpus": [_gpu_props(gpu) for gpu in demand.gpus],
        **({"address": demand.address} if demand.address else {}),
    }


def _gpu_props(gpu: GpuDemand) -> dict[str, Any]:
    siblings = gpu.siblings if gpu.siblings == "auto" else list(gpu.siblings)
    identity = {key: value for key, value in (("serial", gpu.serial), ("uuid", gpu.uuid)) if value is not None}
    return {"address": gpu.address, "siblings": siblings, **identity}


def demand_from_props(props: Mapping[str, Any]) -> VmDemand:
    """Return the demand that ``demand_props`` wrote; the engine hands numbers back as floats."""
    return VmDemand(
        name=str(props["name"]),
        host=str(props["host"]),
        cores=int(props["cores"]),
        memory_mib=int(props["memory_mib"]),
        disks={str(pool): int(size) for pool, size in (props.get("disks") or {}).items()},
        gpus=tuple(_gpu_from_props(gpu) for gpu in props.get("gpus") or ()),
        address=props.get("address"),
    )


def _gpu_from_props(props: Mapping[str, Any]) -> GpuDemand:
    siblings = props.get("siblings", "auto")
    return GpuDemand(
        parse_pci(props["address"]),
        "auto" if siblings == "auto" else tuple(parse_pci(each) for each in siblings),
        props.get("serial"),
        props.get("uuid"),
    )
