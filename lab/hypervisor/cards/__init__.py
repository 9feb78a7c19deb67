"""A kernel that plays GPUs, for libvirt's own passthrough inside a private hypervisor.

What is played is the kernel's PCI bus, its IOMMU groups and VFIO, and the cards. libvirt and QEMU are real; of QEMU
only its ``vfio-pci`` device is swapped for a harmless one. ``stage.play`` sets it up; ``handles`` are for tests inside.
"""

from lab.hypervisor.cards.faults import Fault
from lab.hypervisor.cards.handles import driver_of, events, fault, rescan, vm_xml
from lab.hypervisor.cards.stage import play

__all__ = ["Fault", "driver_of", "events", "fault", "play", "rescan", "vm_xml"]
