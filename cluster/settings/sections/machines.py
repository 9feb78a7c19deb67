"""Virtual machines, and the Kubernetes that is installed on them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cluster import versions
from cluster.settings.sections.base import Address, Section, Whole
from cluster.types import MiB, Name, PciAddress


class Gpu(Section):
    """A host's GPU that a VM gets by hostdev."""

    address: PciAddress
    siblings: Annotated[
        Literal["auto"] | tuple[PciAddress, ...],
        Field(
            description="the other functions of its IOMMU group, which move with it: auto takes those of the same card"
            " and refuses a group with anything else in it; a list must match the group exactly"
        ),
    ]
    serial: Annotated[str | None, Field(description="the card's serial number: another card there is refused")] = None
    uuid: Annotated[
        str | None, Field(pattern=r"^GPU-[0-9a-f-]{36}$", description="the card's UUID, as nvidia-smi -L prints it")
    ] = None


class Machine(Section):
    """A virtual machine."""

    name: Name
    role: Literal["control-plane", "worker", "gpu-worker"]
    host: Annotated[str | None, Field(description="name of a host; may be left out where there is one")] = None
    cores: Annotated[Whole, Field(ge=1, le=512)]
    memory: MiB
    disk: MiB
    address: Address
    gpus: tuple[Gpu, ...] = ()
    autostart: bool = True
    machine_type: Annotated[
        str, Field(pattern=r"^(q35|pc-q35-[0-9.]+)$", description="QEMU machine; GPUs need a PCI Express one")
    ] = "q35"
    firmware: Annotated[
        Literal["bios", "uefi"], Field(description="uefi needs OVMF on the host; some large cards want it")
    ] = "bios"
    cpu_mode: Annotated[
        Literal["auto", "host-passthrough", "host-model", "maximum"],
        Field(description="auto: host-passthrough, and maximum where the host emulates"),
    ] = "auto"
    cpu_pinning: Annotated[
        str | None,
        Field(
            pattern=r"^\d+(-\d+)?(,\d+(-\d+)?)*$",
            description="host CPUs, one a core of the VM, e.g. 4-7,12-15; left out: the scheduler decides",
        ),
    ] = None
    hugepages: Annotated[
        Literal["2MiB", "1GiB"] | None,
        Field(description="page size of the VM's memory, reserved on the host beforehand; left out: ordinary pages"),
    ] = None
    mmio_window: Annotated[
        Literal["auto"] | MiB,
        Field(description="address space for the cards' memory; auto: 128GiB a card where there are two or more"),
    ] = "auto"
    image: Annotated[
        str | None,
        Field(
            pattern=r"^[0-9a-f]{12}$",
            description="digest of an earlier base image that this VM stays on; left out: the image of the settings",
        ),
    ] = None


class Kubernetes(Section):
    """Which Kubernetes, and who installs it."""

    provisioner: Annotated[
        Literal["kubespray", "kubeadm", "k3s", "existing"],
        Field(description="existing: a cluster that is there already; no VM is made then"),
    ] = "kubespray"
    version: Annotated[str, Field(pattern=r"^[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}$", description="without v")] = (
        versions.KUBERNETES_DEFAULT
    )
    kubespray: str = versions.KUBESPRAY_DEFAULT
    kubespray_url: Annotated[str, Field(description="git repository, or a mirror of it")] = versions.KUBESPRAY_URL
    kubespray_folder: Annotated[
        str | None,
        Field(description="a checkout of that Kubespray release, for an air gap; without .git it is used as it is"),
    ] = None
    k3s: str = versions.K3S_DEFAULT
    kubeconfig: Annotated[
        str | None, Field(description="path of the existing cluster's kubeconfig; only for provisioner existing")
    ] = None
    gpu_taint: Annotated[
        bool,
        Field(description="keep pods that ask for no GPU off the GPU workers; needs a worker without GPUs"),
    ] = False
    storage_class: Name = "local-path"
    expendable: Annotated[
        tuple[Name, ...],
        Field(
            description="control planes that an update may replace or delete although etcd's quorum forbids it, and GPU"
            " workers that may get another image at once"
        ),
    ] = ()
