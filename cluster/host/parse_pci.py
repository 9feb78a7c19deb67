"""Parsers for PCI functions: the kernel's listing, and lspci's names for them. Text in, values out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cluster.host.model import IommuGroup, PciDevice
from cluster.types import parse_pci

NVIDIA = "10de"

KINDS: Mapping[str, str] = {
    "0106": "sata",
    "0108": "nvme",
    "0200": "ethernet",
    "0300": "vga",
    "0302": "3d",
    "0403": "audio",
    "0600": "host-bridge",
    "0601": "isa-bridge",
    "0604": "bridge",
    "0700": "serial",
    "0c03": "usb",
    "0c05": "smbus",
    "0c80": "serial",
}
"""PCI class and subclass -> kind, from the PCI code and ID assignment specification; others become "class ABCD"."""

_FUNCTION = re.compile(
    r"([0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]) (0x[0-9a-f]{6}) 0x([0-9a-f]{4}) 0x([0-9a-f]{4}) (\S+) ([0-9]+|-)"
)

GPU_KINDS = frozenset({"vga", "3d"})


@dataclass(frozen=True)
class PciFunction:
    """A PCI function with its IOMMU group; ``kind`` as in KINDS, ``vendor_device`` like 10de:26b1."""

    address: str
    kind: str
    vendor_device: str
    driver: str | None
    group: int | None
    name: str = ""

    @property
    def is_nvidia_gpu(self) -> bool:
        """Whether this is the display or compute function of an NVIDIA card."""
        return self.vendor_device.startswith(NVIDIA) and self.kind in GPU_KINDS


def kind_of(pci_class: str) -> str:
    """Return the kind for a class like ``0x030000``."""
    digits = pci_class.removeprefix("0x").rjust(6, "0")[:4]
    return KINDS.get(digits, f"class {digits}")


def parse_slots(text: str) -> dict[str, str]:
    """Return PCI address without function -> slot, of lines ``0000:41:00 NAME``; a slot may hold a whole bus."""
    found = {}
    for line in text.splitlines():
        address, _, name = line.strip().partition(" ")
        if re.fullmatch(r"[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]", address) and name.strip():
            found[address] = name.strip()
    return found


def parse_sysfs(text: str, names: Mapping[str, str] | None = None) -> list[PciFunction]:
    """Return the functions of lines ``address class vendor device driver group``, where - stands for none.

    Any other line is left out, and so are functions in a PCI domain of more than four digits: those are drives behind
    Intel's volume management device, which the kernel numbers from 10000 on.
    """
    found = []
    for line in text.splitlines():
        if match := _FUNCTION.fullmatch(line.strip()):
            address, pci_class, vendor, device, driver, group = match.groups()
            found.append(
                PciFunction(
                    address=parse_pci(address),
                    kind=kind_of(pci_class),
                    vendor_device=f"{vendor}:{device}",
                    driver=None if driver == "-" else driver,
                    group=None if group == "-" else int(group),
                    name=(names or {}).get(address, ""),
                )
            )
    return found


def parse_lspci_names(text: str) -> dict[str, str]:
    """Return address -> device name from ``lspci -Dnnk``, without class, ids and revision."""
    names = {}
    for line in text.splitlines():
        found = re.match(
            r"([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]) [^\[]*\[[0-9a-f]{4}\]: (.*?) \[[0-9a-f]{4}:", line
        )
        if found:
            names[found[1]] = found[2]
    return names


def groups_of(functions: Iterable[PciFunction]) -> tuple[IommuGroup, ...]:
    """Return the IOMMU groups that the functions belong to, in order of number."""
    members: dict[int, list[PciDevice]] = {}
    for each in functions:
        if each.group is not None:
            device = PciDevice(
                address=each.address,
                kind=each.kind,
                vendor_device=each.vendor_device,
                name=each.name,
                driver=each.driver,
            )
            members.setdefault(each.group, []).append(device)
    return tuple(IommuGroup(id=number, devices=tuple(members[number])) for number in sorted(members))
