"""The played kernel as files: what it shows in /sys/bus/pci, /sys/devices, /sys/kernel/iommu_groups and /dev/vfio."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from lab.hypervisor.cards.config_space import SIZE
from lab.hypervisor.cards.kernel import Kernel
from lab.hypervisor.cards.topology import Function

PAGE = 4096


@dataclass(frozen=True)
class Folder:
    """A directory; its entries are asked for each time."""

    entries: Callable[[], Mapping[str, Node]]


@dataclass(frozen=True)
class Link:
    """A symbolic link."""

    target: str


@dataclass(frozen=True)
class File:
    """An attribute: ``read`` gives all of it, ``write`` takes what is written and where. None: not allowed."""

    read: Callable[[], bytes] | None = None
    write: Callable[[bytes, int], None] | None = None
    size: int = PAGE


@dataclass(frozen=True)
class GroupFile:
    """The file of an IOMMU group in /dev/vfio."""

    group: int


Node: TypeAlias = Folder | Link | File | GroupFile


def tree(kernel: Kernel) -> Folder:
    """Return the root: folders ``sys`` and ``dev`` with the places that the kernel is played in."""
    return _fixed(
        {
            "sys": _fixed(
                {
                    "bus": _fixed({"pci": _bus(kernel)}),
                    "devices": _fixed({"cards": Folder(lambda: _below("cards", kernel))}),
                    "kernel": _fixed({"iommu_groups": Folder(lambda: _groups(kernel))}),
                }
            ),
            "dev": _fixed({"vfio": Folder(lambda: _vfio(kernel))}),
        }
    )


def find(root: Folder, path: str) -> Node:
    """Return the node of an absolute path; links are not followed. Raises FileNotFoundError."""
    node: Node = root
    for name in path.strip("/").split("/") if path != "/" else ():
        entries = node.entries() if isinstance(node, Folder) else {}
        if name not in entries:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        node = entries[name]
    return node


def _fixed(entries: Mapping[str, Node]) -> Folder:
    return Folder(lambda: entries)


# ---- /sys/bus/pci ----------------------------------------------------------------------------------------------------


def _bus(kernel: Kernel) -> Folder:
    def devices() -> Mapping[str, Node]:
        return {each: Link(f"../../../devices/{kernel.functions[each].path}") for each in kernel.present()}

    return _fixed(
        {
            "devices": Folder(devices),
            "drivers": Folder(lambda: {name: _driver(kernel, name) for name in kernel.drivers}),
            "drivers_autoprobe": _text("1"),
            "drivers_probe": _order(kernel.probe),
            "rescan": _switch(kernel.rescan),
            "slots": _fixed({}),
        }
    )


def _driver(kernel: Kernel, name: str) -> Folder:
    def entries() -> Mapping[str, Node]:
        links = {each: Link(f"../../../../devices/{kernel.functions[each].path}") for each in kernel.bound(name)}
        return {
            **links,
            "bind": _order(lambda address: kernel.bind(name, address)),
            "unbind": _order(lambda address: kernel.unbind(name, address)),
            "new_id": _order(lambda text: kernel.add_id(name, _ids(text))),
            "remove_id": _order(lambda text: kernel.drop_id(name, _ids(text))),
            "uevent": File(),
        }

    return Folder(entries)


def _ids(text: str) -> str:
    """Return ``10de:26b1`` from what new_id is given, ``10de 26b1``. Raises OSError (EINVAL)."""
    try:
        vendor, device = (int(word, 16) for word in text.split()[:2])
    except ValueError:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL)) from None
    return f"{vendor:04x}:{device:04x}"


# ---- /sys/devices ----------------------------------------------------------------------------------------------------


def _below(folder: str, kernel: Kernel) -> dict[str, Node]:
    """Return what lies directly in a folder of /sys/devices: functions, and the host bridges that lead to them."""
    found: dict[str, Node] = {}
    for address in kernel.present():
        path = kernel.functions[address].path
        if path == f"{folder}/{address}":
            found[address] = Folder(lambda address=address: _function(kernel, address))  # type: ignore[misc]
        elif folder == "cards":
            name = path.split("/")[1]
            found[name] = Folder(lambda name=name: {"uevent": File(), **_below(f"cards/{name}", kernel)})  # type: ignore[misc]
    return found


def _function(kernel: Kernel, address: str) -> dict[str, Node]:
    function, state = kernel.functions[address], kernel.state(address)
    up = "../" * (function.path.count("/") + 2)

    def override(text: str) -> None:
        kernel.override(address, text or None)

    entries: dict[str, Node] = {
        **_identity(function, state.driver),
        "config": File(
            lambda: kernel.read_config(address), lambda data, at: kernel.write_config(address, data, at), SIZE
        ),
        "driver_override": File(lambda: f"{state.override or '(null)'}\n".encode(), _order(override).write),
        "remove": _switch(lambda: kernel.remove(address)),
        "subsystem": Link(f"{up}bus/pci"),
    }
    if state.driver:
        entries["driver"] = Link(f"{up}bus/pci/drivers/{state.driver}")
    if function.group is not None:
        entries["iommu_group"] = Link(f"{up}kernel/iommu_groups/{function.group}")
    return {**entries, **_below(function.path, kernel)} if function.is_bridge else entries


def _identity(function: Function, driver: str | None) -> dict[str, Node]:
    vendor, device = function.vendor_device.split(":")
    pci_class = function.pci_class
    modalias = (
        f"pci:v0000{vendor.upper()}d0000{device.upper()}sv0000{vendor.upper()}sd0000{device.upper()}"
        f"bc{pci_class >> 16:02X}sc{pci_class >> 8 & 0xFF:02X}i{pci_class & 0xFF:02X}"
    )
    uevent = {
        **({"DRIVER": driver} if driver else {}),
        "PCI_CLASS": f"{pci_class:X}",
        "PCI_ID": f"{vendor}:{device}".upper(),
        "PCI_SUBSYS_ID": f"{vendor}:{device}".upper(),
        "PCI_SLOT_NAME": function.address,
        "MODALIAS": modalias,
    }
    told = {
        "vendor": f"0x{vendor}",
        "device": f"0x{device}",
        "subsystem_vendor": f"0x{vendor}",
        "subsystem_device": f"0x{device}",
        "class": f"0x{pci_class:06x}",
        "revision": "0xa1",
        "irq": "0",
        "enable": "1" if driver else "0",
        "numa_node": "-1",
        "modalias": modalias,
        "resource": "\n".join(["0x0000000000000000 0x0000000000000000 0x0000000000000000"] * 13),
    }
    # udevadm writes an action to uevent, to have the event again: there is nobody to hear it.
    again = File(lambda: "".join(f"{key}={value}\n" for key, value in uevent.items()).encode(), lambda *_: None)
    return {"uevent": again, **{name: _text(text) for name, text in told.items()}}


# ---- /sys/kernel/iommu_groups and /dev/vfio --------------------------------------------------------------------------


def _groups(kernel: Kernel) -> Mapping[str, Node]:
    numbers = {kernel.functions[each].group for each in kernel.present()}

    def devices(number: int) -> Mapping[str, Node]:
        return {each: Link(f"../../../../devices/{kernel.functions[each].path}") for each in kernel.members(number)}

    return {
        str(number): _fixed({"devices": Folder(lambda number=number: devices(number)), "type": _text("DMA-FQ")})  # type: ignore[misc]
        for number in sorted(each for each in numbers if each is not None)
    }


def _vfio(kernel: Kernel) -> Mapping[str, Node]:
    return {"vfio": File(lambda: b"", lambda *_: None, 0), **{str(each): GroupFile(each) for each in kernel.groups()}}


# ---- attributes ------------------------------------------------------------------------------------------------------


def _text(text: str) -> File:
    return File(lambda: f"{text}\n".encode())


def _order(act: Callable[[str], None]) -> File:
    """Return an attribute that does something with the word written to it, without its line end."""
    return File(write=lambda data, _: act(data.decode(errors="replace").strip("\n\0")))


def _switch(act: Callable[[], None]) -> File:
    """Return an attribute that does something when a number other than 0 is written to it."""

    def write(data: bytes, _: int) -> None:
        try:
            asked = int(data.strip() or b"0", 0)
        except ValueError:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL)) from None
        if asked:
            act()

    return File(write=write)
