"""Hosts: what carries the VMs, their network, how to log in to them and what they boot from."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Any, Literal

from pydantic import Field

from cluster.settings.sections.base import HOST_PORT, Address, Cidr, Section, Whole
from cluster.types import MiB, Name, mib

_CIDR = IPv4Network("192.168.200.0/24")


class Reserve(Section):
    """What stays with the host itself and is never given to a VM."""

    cores: Annotated[Whole, Field(ge=0)] = 4
    memory: MiB = mib("4GiB")
    disk: MiB = mib("100GiB")


class Pool(Section):
    """A libvirt storage pool of type dir that the program makes for its volumes."""

    name: Name = "inference-cloud"
    path: Annotated[str, Field(pattern=r"^/.+")] = "/var/lib/libvirt/inference-cloud"


class Exporters(Section):
    """Where a host tells how it does; ``cloudctl host exporters`` puts such exporters there."""

    node: Annotated[
        str | None, Field(pattern=HOST_PORT, description="host:port of a node exporter, as the VMs reach it")
    ] = None
    libvirt: Annotated[
        str | None, Field(pattern=HOST_PORT, description="host:port of a libvirt exporter, likewise")
    ] = None


class Host(Section):
    """A machine with libvirt that carries VMs."""

    name: Name
    uri: Annotated[
        str, Field(pattern=r"^qemu(\+(ssh|tls|tcp|unix|libssh2?))?://", description="libvirt connection URI")
    ] = "qemu:///system"
    pool: Pool = Pool()
    reserve: Reserve = Reserve()
    vcpus_per_core: Annotated[
        float,
        Field(strict=True, gt=0, le=8, description="vCPUs that one physical core may carry; 1 never overcommits"),
    ] = 1.0
    emulation: Annotated[
        bool, Field(description="VMs run without KVM, 10 to 50 times slower: for machines that lack it, to try things")
    ] = False
    facts: Annotated[
        str | None, Field(description="path of a host facts file; left out: read from the host itself at every run")
    ] = None
    exporters: Annotated[Exporters, Field(description="where it tells how it does; left out: it is not measured")] = (
        Exporters()
    )


def _first_address(network: Mapping[str, Any]) -> IPv4Address:
    """A network's default gateway; not called where cidr is malformed."""
    cidr: IPv4Network = network["cidr"]
    return cidr.network_address + 1 if cidr.num_addresses > 1 else cidr.network_address


def _gateway_as_dns(network: Mapping[str, Any]) -> tuple[IPv4Address, ...]:
    """A network's default resolver: libvirt's dnsmasq answers on the gateway."""
    return (network["gateway"],)


class Network(Section):
    """The network of the VMs, on every host."""

    name: Name = "inference-cloud"
    mode: Annotated[
        Literal["nat", "bridge"],
        Field(description="nat: libvirt's own, one host only; bridge: an existing host bridge"),
    ] = "nat"
    bridge: Annotated[str | None, Field(description="the host bridge, for mode bridge")] = None
    cidr: Cidr = _CIDR
    gateway: Address = Field(default_factory=_first_address, description="left out: the first address of cidr")
    dns: tuple[Address, ...] = Field(default_factory=_gateway_as_dns, description="left out: the gateway")
    mtu: Annotated[Whole, Field(ge=1280, le=9216)] = 1500
    pods: Cidr = IPv4Network("10.233.64.0/18")
    services: Cidr = IPv4Network("10.233.0.0/18")
    api_address: Annotated[
        Address | None, Field(description="virtual address of the API, needed from 3 control planes on")
    ] = None


class Access(Section):
    """How the program and people log in to the VMs: by key only."""

    user: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_-]{0,30}$")] = "cloud"
    ssh_public_key: Annotated[
        str | None,
        Field(pattern=r"^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp\d+) \S+( .*)?$", description="set by cloudctl init"),
    ] = None
    ssh_private_key_file: str = "~/.ssh/inference-cloud"


class Images(Section):
    """What the VMs boot from; built by Packer when an input changes."""

    source: Literal["ubuntu-24.04", "debian-13"] = "ubuntu-24.04"
    url: Annotated[str | None, Field(description="cloud image; left out: the distribution's own")] = None
    mirror: Annotated[
        str | None,
        Field(pattern=r"^(https?://|file:///).+", description="base URL in place of the distribution's own server"),
    ] = None
    checksum: Annotated[str | None, Field(pattern=r"^sha(256:[0-9a-f]{64}|512:[0-9a-f]{128})$")] = None
    size: MiB = mib("10GiB")
    gpu_worker: Annotated[bool, Field(description="build the specialised GPU worker image as well")] = True
    use_gpu_worker: Annotated[
        bool,
        Field(description="boot GPU workers from it, and wait for it. Off: base image, driver by the GPU operator"),
    ] = False
    gpu_worker_driver: Annotated[
        Literal["nvidia", "none"], Field(description="driver in the GPU worker image; none: the GPU operator brings it")
    ] = "nvidia"
    packer_accelerator: Literal["kvm", "tcg"] = "kvm"
    harmless_complaints: Annotated[
        tuple[Annotated[str, Field(min_length=1)], ...],
        Field(description="parts of what cloud-init may complain of and get over in a VM that counts as ready"),
    ] = ()
    folder: Annotated[
        str,
        Field(description="where built images lie on the machine that runs Pulumi, of all stacks together; by digest"),
    ] = ".cloud/images"
