"""The PCI configuration space of a function: what libvirt, lspci and libudev read of it.

Offsets and capabilities as in the PCI Local Bus and PCI Express base specifications. Like many cards of NVIDIA the
played ones have no function-level reset, and power states do not reset them: the bus behind the root port does.
"""

from __future__ import annotations

import struct

from cluster.types import pci_parts
from lab.hypervisor.cards.topology import Function

SIZE = 4096
DEAD = b"\xff" * SIZE
"""What reading a card that fell off the bus gives."""

_POWER, _EXPRESS = 0x60, 0x78
_ENDPOINT, _ROOT_PORT = 0x0, 0x4
_LINK = 16 << 4 | 4  # 16 lanes at 16 GT/s
_NO_SOFT_RESET = 1 << 3
_CAPABILITIES = 1 << 4
_DECODES = 0x0007  # answers to I/O and memory, masters the bus


def configuration(function: Function) -> bytearray:
    """Return the 4096 bytes of a PCI Express function's configuration space."""
    space = bytearray(SIZE)
    vendor, device = (int(each, 16) for each in function.vendor_device.split(":"))
    header = (1 if function.is_bridge else 0) | (0x80 if function.multifunction else 0)
    struct.pack_into("<HHHH", space, 0x00, vendor, device, _DECODES, _CAPABILITIES)
    space[0x08] = 0xA1  # revision
    space[0x09:0x0C] = function.pci_class.to_bytes(3, "little")
    space[0x0E] = header
    if function.is_bridge:
        _, bus, _, _ = pci_parts(function.address)
        secondary = function.secondary or 0
        struct.pack_into("BBB", space, 0x18, bus, secondary, secondary)
    else:
        struct.pack_into("<HH", space, 0x2C, vendor, device)  # subsystem
        space[0x3D] = 1  # interrupt pin A
    space[0x34] = _POWER
    struct.pack_into("<BBHH", space, _POWER, 0x01, _EXPRESS, 0x0003, _NO_SOFT_RESET)
    kind = _ROOT_PORT if function.is_bridge else _ENDPOINT
    struct.pack_into("<BBHI", space, _EXPRESS, 0x10, 0, kind << 4 | 2, 0)
    struct.pack_into("<IHH", space, _EXPRESS + 0x0C, _LINK, 0, _LINK)
    return space
