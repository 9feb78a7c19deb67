"""Stand-in for the way from QEMU to VFIO: it lies over QEMU's own path and runs QEMU with harmless devices instead.

For each ``vfio-pci`` device it does what QEMU would: open the file of the IOMMU group, see whether the group is viable,
get the function from it; with QEMU's words where that fails. Then QEMU itself takes this process over, and with it the
open files: the group is in use until QEMU ends. In the guest a ``pci-testdev`` is in the place of the function, with a
memory region of the card's size, as cards for data centres show all of their memory in one: a guest needs an MMIO
window for it. Run by the interpreter alone (no packages); ``stage.py`` puts three arguments before QEMU's own: the real
QEMU, what is known of the cards, QEMU's own path.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SYSFS = "/sys/bus/pci/devices"
VFIO = "/dev/vfio"
KEPT = ("id", "bus", "addr", "multifunction", "acpi-index", "rombar")
"""Properties that every PCI device of QEMU has."""


class RefusedError(Exception):
    """VFIO does not give the function; the message is QEMU's."""


def device(text: str) -> dict[str, Any] | None:
    """Return the properties of a ``-device`` argument, JSON or key=value, if it is a vfio-pci; else None."""
    if text.startswith("{"):
        found = json.loads(text)
    else:
        words = text.split(",")
        found = {"driver": words[0], **dict(word.partition("=")[::2] for word in words[1:])}
    return found if found.get("driver") == "vfio-pci" else None


def stand_in(asked: dict[str, Any], memory_mib: int = 0) -> dict[str, Any]:
    """Return the properties of the harmless device in the place of a function; of a GPU with ``memory_mib``."""
    region = {"membar": 1 << (memory_mib * 1024 * 1024 - 1).bit_length()} if memory_mib else {}
    return {"driver": "pci-testdev", **{key: asked[key] for key in KEPT if key in asked}, **region}


def take(host: str, groups: dict[str, int]) -> None:
    """Get a function from VFIO; ``groups`` are the files open so far. Raises RefusedError."""
    link = f"{SYSFS}/{host}/iommu_group"
    try:
        group = os.path.basename(os.readlink(link))  # noqa: PTH115, PTH119
    except OSError:
        raise RefusedError(f"vfio {host}: no iommu_group found: No such file or directory") from None
    if group not in groups:
        try:
            groups[group] = os.open(f"{VFIO}/{group}", os.O_RDWR)
        except OSError as error:
            raise RefusedError(f"vfio {host}: failed to open {VFIO}/{group}: {error.strerror}") from None
        os.set_inheritable(groups[group], True)
    if os.pread(groups[group], 64, 0) != b"viable\n":
        raise RefusedError(
            f"vfio {host}: group {group} is not viable\n"
            "Please ensure all devices within the iommu_group are bound to their vfio bus driver."
        )
    try:
        os.pwrite(groups[group], host.encode(), 0)
    except OSError as error:
        raise RefusedError(
            f"vfio {host}: error getting device from group {group}: {error.strerror}\n"
            f"Verify all devices in group {group} are bound to vfio-<bus> or pci-stub and not already in use"
        ) from None


def translated(arguments: list[str], memory_mib: Mapping[str, int]) -> list[str]:
    """Return QEMU's arguments with each vfio-pci got from VFIO and replaced; ``memory_mib`` by address of the GPU.

    Raises RefusedError.
    """
    groups: dict[str, int] = {}
    out = list(arguments)
    for index, word in enumerate(arguments):
        asked = device(word) if index and arguments[index - 1] == "-device" else None
        if asked:
            host = str(asked["host"])
            try:
                take(host, groups)
            except RefusedError as error:
                raise RefusedError(f"-device {word}: {error}") from None
            out[index] = json.dumps(stand_in(asked, memory_mib.get(host, 0)), separators=(",", ":"))
    return out


def main(real: str, identities: str, arguments: list[str]) -> None:
    """Become QEMU; ``arguments[0]`` is the path that it was called by."""
    cards = json.loads(Path(identities).read_text())
    memory = {address: int(card["memory.total"]) for address, card in cards.items() if card["memory.total"].isdigit()}
    try:
        words = translated(arguments, memory)
    except RefusedError as error:
        sys.exit(f"{Path(arguments[0]).name}: {error}")
    os.execv(real, words)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
