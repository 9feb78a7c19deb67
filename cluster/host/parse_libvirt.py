"""Parsers for libvirt's XML and virsh's tables. Text in, values out.

The texts come from the host's own libvirt, which the reader already trusts with root's power over VMs.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from typing import Literal

from cluster.host.model import Cpu, Domain, PoolFacts
from cluster.host.parse_pci import PciFunction, kind_of
from cluster.host.parse_system import Device, Vendor
from cluster.types import mib

MARKS = "{urn:inference-cloud:owner}"
"""Namespace of what we write into a VM's metadata."""

State = Literal["running", "paused", "shut-off"]

_BYTES = {
    "bytes": 1,
    "b": 1,
    "KB": 1000,
    "k": 1024,
    "KiB": 1024,
    "MB": 1000**2,
    "M": 1024**2,
    "MiB": 1024**2,
    "GB": 1000**3,
    "G": 1024**3,
    "GiB": 1024**3,
    "TB": 1000**4,
    "T": 1024**4,
    "TiB": 1024**4,
}


def parse_domain(text: str, state: State, autostart: bool = False, inactive: str | None = None) -> Domain:
    """Return a VM from ``virsh dumpxml``; its memory is the most it may have, its vCPUs the most it may plug in.

    ``inactive`` is what ``dumpxml --inactive`` says of one that runs: what it will be after its next start.
    """
    root = xml_of(text)
    _need(root, "memory")
    now = tuple(_hostdevs(root.findall("devices/hostdev")))
    then = tuple(_hostdevs(xml_of(inactive).findall("devices/hostdev"))) if inactive else now
    return Domain(
        name=_need(root, "name"),
        owner=_mark(root, "owner"),
        state=state,
        cores=int(_need(root, "vcpu")),
        memory=mib(f"{max(1, -(-_size(root.find('memory'), 'KiB') // 1024**2))}MiB"),
        hostdevs=tuple(dict.fromkeys((*now, *then))),
        attached=None if set(now) == set(then) else now,
        autostart=autostart,
        uuid=_text(root, "uuid") or None,
        role=_mark(root, "role"),
        image=_mark(root, "image"),
        shape=_mark(root, "shape"),
    )


def _mark(root: ET.Element, name: str) -> str | None:
    """Return a mark of ours: inside one element, as libvirt keeps one of a namespace; the owner may stand alone."""
    return _text(root, f"metadata/{MARKS}vm/{MARKS}{name}") or _text(root, f"metadata/{MARKS}{name}") or None


def _hostdevs(devices: Iterable[ET.Element]) -> Iterable[str]:
    for device in devices:
        address = device.find("source/address")
        if device.get("type") == "pci" and address is not None:
            domain, bus, slot, function = (
                int(address.get(key, "0"), 16) for key in ("domain", "bus", "slot", "function")
            )
            yield f"{domain:04x}:{bus:02x}:{slot:02x}.{function}"


def parse_pool(
    text: str,
    device: Device = "unknown",
    own_mib: int = 0,
    active: bool | None = None,
    used_mib: int | None = None,
) -> PoolFacts:
    """Return a pool from ``virsh pool-dumpxml``; ``own_mib`` is what this stack's volumes take of its allocation.

    A pool that is not active tells no sizes; ``active`` left out: one that tells its size is. ``used_mib`` is what its
    file system says now: of a folder libvirt tells what it saw when it last looked, which may be long ago.
    """
    root = xml_of(text)
    capacity = _size(root.find("capacity")) // 1024**2
    taken = -(-_size(root.find("allocation")) // 1024**2)
    if used_mib is not None and root.get("type") == "dir":
        taken = used_mib
    allocated = max(0, taken - own_mib)
    return PoolFacts(
        name=_need(root, "name"),
        path=_text(root, "target/path", "-"),
        capacity=mib(f"{capacity}MiB") if capacity else None,
        allocated=(mib(f"{allocated}MiB") if allocated else 0) if capacity else None,
        device=device,
        uuid=_text(root, "uuid") or None,
        active=bool(capacity) if active is None else active,
    )


def parse_volume_mib(text: str) -> int:
    """Return what a volume takes now, in MiB rounded down, from ``virsh vol-dumpxml``."""
    return _size(xml_of(text).find("allocation")) // 1024**2


def parse_nodedev(text: str) -> PciFunction | None:
    """Return a PCI function from ``virsh nodedev-dumpxml``, or None where it is no PCI device."""
    root = xml_of(text)
    capability = root.find("capability[@type='pci']")
    if capability is None:
        return None
    domain, bus, slot, function = (int(_text(capability, key, "0")) for key in ("domain", "bus", "slot", "function"))
    vendor, product = capability.find("vendor"), capability.find("product")
    group = capability.find("iommuGroup")
    ids = [
        (each.get("id") or "0x0000").removeprefix("0x") if each is not None else "0000" for each in (vendor, product)
    ]
    return PciFunction(
        address=f"{domain:04x}:{bus:02x}:{slot:02x}.{function}",
        kind=kind_of(_text(capability, "class", "0x000000")),
        vendor_device=":".join(ids),
        driver=_text(root, "driver/name") or None,
        group=int(group.get("number", "0")) if group is not None else None,
        name=(product.text or "").strip() if product is not None else "",
    )


def parse_capabilities(capabilities: str, nodeinfo: str) -> tuple[Cpu, int | None]:
    """Return processors and memory in MiB from ``virsh capabilities`` and ``virsh nodeinfo``.

    Virtualisation counts as on where libvirt offers KVM guests. Cores are counted in the topology, for nodeinfo takes
    every thread for a core where cores differ in their number of threads; without one nodeinfo has to do, which counts
    cores of one socket of one NUMA cell.
    """
    root = xml_of(capabilities)
    info = dict(re.findall(r"^([^:]+):\s+([0-9]+)", nodeinfo, re.MULTILINE))
    sockets = int(info.get("CPU socket(s)", 0)) * int(info.get("NUMA cell(s)", 0))
    cores = _cores(root) or sockets * int(info.get("Core(s) per socket", 0))
    vendors: dict[str, Vendor] = {"AMD": "amd", "Intel": "intel"}
    cpu = Cpu(
        vendor=vendors.get(_text(root, "host/cpu/vendor"), "other"),
        model=_text(root, "host/cpu/model", "unknown"),
        cores=cores or None,
        threads=int(info.get("CPU(s)", 0)) or None,
        virtualization=root.find("guest/arch/domain[@type='kvm']") is not None,
    )
    kib = int(info.get("Memory size", 0))
    return cpu, kib // 1024 or None


def parse_host_uuid(capabilities: str) -> str | None:
    """Return libvirt's UUID of its host from ``virsh capabilities``: the firmware's, or one that the daemon made up."""
    return _text(xml_of(capabilities), "host/uuid") or None


def _cores(root: ET.Element) -> int:
    """Return how many cores the topology of ``virsh capabilities`` lists; 0 where it lists none."""
    cpus = root.findall("host/topology/cells/cell/cpus/cpu")
    return len({tuple(cpu.get(key) for key in ("socket_id", "die_id", "core_id")) for cpu in cpus})


def parse_version(text: str) -> tuple[str | None, str | None]:
    """Return (libvirt, QEMU) from ``virsh version``."""
    library = re.search(r"Using library: libvirt (\S+)", text)
    emulator = re.search(r"Running hypervisor: QEMU (\S+)", text)
    return library[1] if library else None, emulator[1] if emulator else None


def parse_names(text: str) -> list[str]:
    """Return the names that ``virsh list --name`` and ``virsh pool-list --name`` print."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def xml_of(text: str) -> ET.Element:
    """Return the root of libvirt's XML. Raises ET.ParseError."""
    return ET.fromstring(text)  # noqa: S314 - see above


def _text(element: ET.Element, path: str, default: str = "") -> str:
    return (element.findtext(path) or default).strip()


def _need(element: ET.Element, path: str) -> str:
    """Return a text that must be there: a VM without memory is a misreading, not a VM that needs none."""
    text = _text(element, path)
    if not text:
        raise ValueError(f"{element.tag} has no {path}")
    return text


def _size(element: ET.Element | None, unit: str = "bytes") -> int:
    """Return an XML size in bytes; libvirt's memory is in KiB and its storage in bytes unless the element says so."""
    if element is None or not element.text:
        return 0
    return int(element.text.strip()) * _BYTES[element.get("unit", unit)]
