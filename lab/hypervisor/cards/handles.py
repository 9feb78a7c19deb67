"""For tests inside the hypervisor: how the played cards stand, what goes wrong with them, a small VM that has some."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cluster.types import pci_parts
from lab.hypervisor.cards import faults, places

SYSFS = Path("/sys/bus/pci")


def driver_of(address: str) -> str | None:
    """Return the driver that a PCI function is bound to, or None."""
    link = SYSFS / "devices" / address / "driver"
    return link.readlink().name if link.is_symlink() else None


@contextmanager
def fault(*wrong: faults.Fault) -> Iterator[None]:
    """Let things go wrong as long as the block lasts."""
    path = places.inside(places.FAULTS)
    before = faults.read(path)
    faults.write(path, [*before, *wrong])
    try:
        yield
    finally:
        faults.write(path, before)


def rescan() -> None:
    """Let the kernel look for cards that have come back, as ``echo 1 > /sys/bus/pci/rescan``."""
    (SYSFS / "rescan").write_text("1")


def events() -> list[str]:
    """Return what the played kernel has done so far, a line each: ``vfio-pci 0000:41:00.0: bound``."""
    return places.inside(places.LOG).read_text().splitlines()


def vm_xml(name: str, functions: Sequence[str] = (), *, memory_mib: int = 64) -> str:
    """Return the XML of a VM without disk that boots to nothing, with PCI functions as managed hostdevs."""
    return (
        f"<domain type='qemu'><name>{name}</name><memory unit='MiB'>{memory_mib}</memory><vcpu>1</vcpu>"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os><devices>"
        f"{''.join(hostdev_xml(each) for each in functions)}<console type='pty'/></devices></domain>"
    )


def hostdev_xml(address: str) -> str:
    """Return the XML of a PCI function as a managed hostdev."""
    domain, bus, slot, function = pci_parts(address)
    source = f"domain='{domain:#06x}' bus='{bus:#04x}' slot='{slot:#04x}' function='{function:#x}'"
    return f"<hostdev mode='subsystem' type='pci' managed='yes'><source><address {source}/></source></hostdev>"
