"""HostFacts: what is known of one host, as a YAML file says it or as the host itself answered.

A fact that could not be read is ``None`` and has its reason in ``unknown``, never a zero. The same file is a host's
twin in the lab, the input of the verdict and the props of the Host component that policies read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError

from cluster.problems import InputError, Problem
from cluster.settings.model import Section
from cluster.types import MiB, Name, PciAddress

# The lab reads and writes twins at every operation: in C, where PyYAML has it, that takes a tenth of the time.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class Cpu(Section):
    """Processors of the host."""

    vendor: Literal["amd", "intel", "other"]
    model: str
    cores: Annotated[int | None, Field(ge=1, description="physical cores, all sockets")]
    threads: Annotated[int | None, Field(ge=1)] = None
    virtualization: Annotated[bool | None, Field(description="VT-x or AMD-V usable")]


class PoolFacts(Section):
    """A libvirt storage pool, or the file system where one may be made."""

    name: str
    path: str
    capacity: MiB | None
    allocated: Annotated[MiB | Literal[0] | None, Field(description="taken by whatever is not this cluster's")] = 0
    device: Literal["nvme", "ssd", "hdd", "unknown"] = "unknown"
    uuid: Annotated[str | None, Field(description="of the libvirt pool; None for a mere file system")] = None
    active: Annotated[bool | None, Field(description="started; a mere file system always is")] = True


class NetworkFacts(Section):
    """A libvirt network."""

    name: str
    uuid: str | None = None
    bridge: str | None = None
    cidr: Annotated[
        str | None, Field(description="IPv4 network that libvirt itself serves; None: bridged, or none")
    ] = None
    mtu: Annotated[
        int | None, Field(ge=1, description="as it was made with; None: whatever the kernel gives, 1500")
    ] = None
    active: bool | None = True


class Nic(Section):
    """A physical network interface."""

    name: str
    mbps: Annotated[int | None, Field(ge=0, description="negotiated link speed")]
    up: bool | None = True


class PciDevice(Section):
    """A PCI function, for what shares an IOMMU group with a GPU."""

    address: PciAddress
    kind: Annotated[str, Field(description="vga, 3d, audio, usb, serial, bridge, ethernet, nvme, ...")]
    vendor_device: Annotated[str, Field(pattern=r"^[0-9a-f]{4}:[0-9a-f]{4}$")]
    name: str = ""
    driver: str | None = None


class GpuFacts(Section):
    """An NVIDIA GPU."""

    address: PciAddress
    vendor_device: Annotated[str, Field(pattern=r"^[0-9a-f]{4}:[0-9a-f]{4}$")]
    model: str
    serial: str | None = None
    uuid: str | None = None
    compute_capability: Annotated[str | None, Field(pattern=r"^\d+\.\d+$")] = None
    memory: MiB | None = None
    driver: str | None = None
    iommu_group: Annotated[int | None, Field(ge=0)] = None
    slot: Annotated[
        str | None, Field(description="the firmware's name of the slot that it is in; None: it has none")
    ] = None


class IommuGroup(Section):
    """An IOMMU group: VFIO moves all of it, or none."""

    id: Annotated[int, Field(ge=0)]
    devices: tuple[PciDevice, ...]


class Domain(Section):
    """A VM that libvirt has defined on the host."""

    name: str
    owner: Annotated[str | None, Field(description="cluster/stack that made it; None: not known")] = None
    state: Literal["running", "paused", "shut-off"]
    cores: Annotated[int, Field(ge=1)]
    memory: MiB
    hostdevs: Annotated[
        tuple[PciAddress, ...], Field(description="PCI functions that it has now or that its next start will take")
    ] = ()
    attached: Annotated[
        tuple[PciAddress, ...] | None, Field(description="those that it has now; None: the same, or it is off")
    ] = None
    autostart: bool = False
    uuid: str | None = None
    role: Annotated[str | None, Field(description="what it is in our cluster, from its metadata")] = None
    image: Annotated[str | None, Field(description="digest of the image that we made it from, from its metadata")] = (
        None
    )
    shape: Annotated[
        str | None, Field(description="fingerprint of what only a replacement can change, from its metadata")
    ] = None


class HostFacts(Section):
    """Everything the verdict needs to know of a host."""

    name: Name
    cpu: Cpu
    memory: MiB | None
    iommu: Annotated[bool | None, Field(description="IOMMU on: groups exist in sysfs")]
    pools: tuple[PoolFacts, ...] = ()
    nics: tuple[Nic, ...] = ()
    gpus: tuple[GpuFacts, ...] = ()
    iommu_groups: tuple[IommuGroup, ...] = ()
    domains: tuple[Domain, ...] = ()
    bridges: tuple[str, ...] = ()
    networks: tuple[NetworkFacts, ...] = ()
    answers: Annotated[
        dict[str, str], Field(description="planned IPv4 address that answers on the host's network -> its MAC address")
    ] = {}  # noqa: RUF012
    routes: Annotated[
        dict[str, str], Field(description="IPv4 network that the host has a route to, but for the default -> interface")
    ] = {}  # noqa: RUF012
    denied: Annotated[
        str | None, Field(description="what libvirt says to this user's wish to change things; None: it may")
    ] = None
    machine: Annotated[
        tuple[str, ...], Field(description="what tells this machine from any other: libvirt's UUID of it, its boot id")
    ] = ()
    kernel: str | None = None
    libvirt: str | None = None
    qemu: str | None = None
    unknown: Annotated[dict[str, str], Field(description="path of a fact that could not be read -> why")] = {}  # noqa: RUF012
    live: Annotated[
        bool,
        Field(description="the host as it is now, not as somebody wrote it down: a VM that is not here is not there"),
    ] = False

    def gpu(self, address: str) -> GpuFacts | None:
        """Return the GPU at an address, or None."""
        return next((gpu for gpu in self.gpus if gpu.address == address), None)

    def group_of(self, gpu: GpuFacts) -> IommuGroup | None:
        """Return the IOMMU group of a GPU, or None where it is not known."""
        return next((group for group in self.iommu_groups if group.id == gpu.iommu_group), None)

    def holder(self, address: str) -> Domain | None:
        """Return the VM that has a PCI function as a hostdev, running or merely defined, or None."""
        return next((domain for domain in self.domains if address in domain.hostdevs), None)


def load_facts(path: Path) -> tuple[HostFacts, ...]:
    """Read a facts file: one host, or a YAML list of hosts. Raises InputError with every problem of the file."""
    try:
        raw = yaml.load(path.read_text(), Loader=_LOADER)  # noqa: S506  # the safe loader, in C where there is one
    except OSError as error:
        remedy = "write one with: cloudctl host facts > FILE"
        raise InputError(str(path), [Problem("file", None, error.strerror or "cannot be read", remedy)]) from None
    except yaml.YAMLError as error:
        raise InputError(
            str(path), [Problem("file", None, f"is not YAML: {error}", "mend the line it names")]
        ) from None
    found: list[HostFacts] = []
    problems: list[Problem] = []
    for index, item in enumerate(raw if isinstance(raw, list) else [raw]):
        try:
            found.append(HostFacts.model_validate(item))
        except ValidationError as error:
            prefix = f"[{index}]." if isinstance(raw, list) else ""
            problems += [
                Problem(
                    prefix + ".".join(map(str, each["loc"])), each["input"], each["msg"], "see: cloudctl host schema"
                )
                for each in error.errors()
            ]
    if problems:
        raise InputError(str(path), problems)
    return tuple(found)


def dump_facts(facts: HostFacts) -> str:
    """Return the YAML of a host's facts; reading it back gives equal facts."""
    return yaml.dump(facts.model_dump(mode="json", exclude_defaults=True), Dumper=_DUMPER, sort_keys=False, width=120)
