"""The PCI functions of a played machine, from host facts: cards, what shares their IOMMU groups, and root ports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from cluster.host.model import HostFacts, PciDevice
from cluster.host.parse_pci import KINDS
from cluster.types import pci_parts

BRIDGE = 0x0604
PORT_DRIVER = "pcieport"
ROOT_PORT = "1022:1483"
"""Vendor and device of the root ports that facts do not name: AMD's Starship/Matisse GPP bridge."""

# Register-level interfaces that a driver looks for: xHCI, NVM Express.
_INTERFACES = {0x0C03: 0x30, 0x0108: 0x02}
_CLASSES = {kind: int(digits, 16) for digits, kind in KINDS.items()}


@dataclass(frozen=True)
class Function:
    """A PCI function. ``driver`` is the one that the kernel binds where nobody overrides it; None: no driver knows it.

    ``path`` is the folder under /sys/devices; ``secondary`` the bus behind a bridge, 0 where there is none.
    """

    address: str
    pci_class: int
    vendor_device: str
    driver: str | None
    group: int | None
    path: str = ""
    secondary: int | None = None
    multifunction: bool = False

    @property
    def is_bridge(self) -> bool:
        """Whether this leads to another bus: such a function cannot be given to a VM."""
        return self.secondary is not None


def functions_of(facts: HostFacts) -> dict[str, Function]:
    """Return address -> function for everything that the facts list, with a root port for each bus that has none."""
    listed = dict(_listed(facts))
    bridges = _bridges(listed)
    ports = dict(_root_ports(listed, bridges))
    whole = {**listed, **bridges, **ports}
    slots = [_slot(address) for address in whole]
    return {
        address: replace(each, multifunction=slots.count(_slot(address)) > 1, path=_path(address, whole))
        for address, each in sorted(whole.items())
    }


def _listed(facts: HostFacts) -> Iterator[tuple[str, Function]]:
    for gpu in facts.gpus:
        yield gpu.address, Function(gpu.address, 0x030000, gpu.vendor_device, gpu.driver, gpu.iommu_group)
    for group in facts.iommu_groups:
        for device in group.devices:
            yield (
                device.address,
                Function(device.address, _class(device), device.vendor_device, device.driver, group.id),
            )


def _class(device: PciDevice) -> int:
    base = _CLASSES.get(device.kind)
    if base is None:
        base = int(device.kind.removeprefix("class "), 16) if device.kind.startswith("class ") else 0xFF00
    return base << 8 | _INTERFACES.get(base, 0)


def _bridges(listed: Mapping[str, Function]) -> dict[str, Function]:
    """Return the listed bridges with the bus that each leads to. Facts do not tell it: the next one that needs one."""
    found = {}
    left = sorted({_bus(each.address) for each in listed.values() if not _leads(each) and _bus(each.address)[1]})
    for address in sorted(listed):
        if _leads(listed[address]):
            bus = next((each for each in left if each[0] == _bus(address)[0] and each > _bus(address)), None)
            if bus:
                left.remove(bus)
            found[address] = replace(listed[address], secondary=bus[1] if bus else 0)
    return found


def _root_ports(listed: Mapping[str, Function], bridges: Mapping[str, Function]) -> Iterator[tuple[str, Function]]:
    led = {(_bus(address)[0], each.secondary) for address, each in bridges.items()}
    buses = {_bus(address) for address, each in listed.items() if not _leads(each)}
    used = set(listed)
    numbers = _unused(each.group for each in listed.values())
    known = any(each.group is not None for each in listed.values())
    for domain, bus in sorted(buses - led):
        if bus:
            # First functions first: a device without function 0 is none.
            places = (f"{domain:04x}:00:{slot:02x}.{number}" for number in range(8) for slot in range(1, 0x20))
            address = next(place for place in places if place not in used)
            used.add(address)
            group = next(numbers) if known else None
            yield address, Function(address, BRIDGE << 8, ROOT_PORT, PORT_DRIVER, group, secondary=bus)


def _unused(groups: Iterable[int | None]) -> Iterator[int]:
    taken = set(groups)
    return (number for number in range(1_000_000) if number not in taken)


def _path(address: str, whole: Mapping[str, Function]) -> str:
    """Return the folder of a function under /sys/devices: below its bridge, or below the host bridge of its bus."""
    domain, bus = _bus(address)
    above = next(
        (
            each
            for each in whole.values()
            if each.secondary and (_bus(each.address)[0], each.secondary) == (domain, bus)
        ),
        None,
    )
    return f"{_path(above.address, whole) if above else f'cards/pci{domain:04x}:{bus:02x}'}/{address}"


def _leads(function: Function) -> bool:
    return function.pci_class >> 8 == BRIDGE


def _bus(address: str) -> tuple[int, int]:
    domain, bus, _, _ = pci_parts(address)
    return domain, bus


def _slot(address: str) -> str:
    return address.partition(".")[0]
