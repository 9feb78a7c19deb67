"""GPUs and other PCI functions that go to a VM."""

from __future__ import annotations

from cluster.remedies.fault import fault

_IOMMU = "switch it on in the firmware setup (AMD-Vi or VT-d) and boot the kernel with intel_iommu=on or amd_iommu=on"

FAULTS = (
    fault(
        "device-in-use",
        r"PCI device (?P<device>[0-9a-f:.]+) is in use by driver \S+, domain (?P<vm>[^\s,]+)",
        "VM {vm} has PCI function {device} now",
        "who holds what: cloudctl gpus; stop that VM first ({virsh} shutdown {vm}; the HPC cluster's: cloudctl flip"
        " serve), then run the same again",
    ),
    fault(
        "group-not-viable",
        r"(?:vfio (?:error: )?(?P<device>[0-9a-f:.]+): )?group (?P<group>\d+) is not viable",
        "IOMMU group {group} holds a function that a driver of the host still uses, beside {device}",
        "see what is in it: ls /sys/kernel/iommu_groups/{group}/devices; list them all in"
        " machines[].gpus[].siblings, or move the card to a slot with a group of its own",
    ),
    fault(
        "vfio-missing",
        r"Failed to load PCI driver module vfio-pci|Unable to load PCI driver module vfio|vfio_pci.* not found"
        r"|failed to open /dev/vfio/vfio|Could not open '?/dev/vfio/vfio",
        "the kernel of the host has no VFIO: the module vfio-pci cannot be loaded",
        "on the host: sudo modprobe vfio-pci (and /etc/modules-load.d/vfio-pci.conf to keep it); check: ls /dev/vfio",
    ),
    fault(
        "device-busy",
        r"failed to open /dev/vfio/(?P<group>\d+): (?P<why>Device or resource busy|No such file or directory)",
        "IOMMU group {group} cannot be opened ({why}): another process has it, or a function in it left vfio-pci",
        "who has it: sudo fuser -v /dev/vfio/{group}; which driver: ls -l"
        " /sys/kernel/iommu_groups/{group}/devices/*/driver; end that process, then run the same again",
    ),
    fault(
        "passthrough-off",
        r"host doesn't support (?:passthrough of host PCI devices|VFIO PCI passthrough)|no IOMMU found",
        "the host cannot give PCI devices to VMs: its IOMMU is off, or vfio-pci is not there",
        _IOMMU + ", then: sudo modprobe vfio-pci; check: ls /sys/kernel/iommu_groups /dev/vfio",
    ),
    fault(
        "device-missing",
        r"Device (?P<device>[0-9a-f:.]+) not found: could not access (?P<path>\S+)"
        r"|could not access /sys/bus/pci/devices/(?P<gone>[0-9a-f:.]+)/",
        "the host has no PCI function {device}{gone} any more: a card was taken out or renumbered, or fell off the bus",
        "what is there now: cloudctl gpus; write its address into machines[].gpus; a card that hangs comes back with"
        " a cold start of the host",
    ),
    fault(
        "device-bind",
        r"Failed to (?:bind|unbind|add) PCI device '(?P<device>[0-9a-f:.]+)'",
        "PCI function {device} does not go from its driver to vfio-pci: something on the host uses the card",
        "who uses it: sudo fuser -v /dev/nvidia* /dev/dri/*; end that (a display manager, nvidia-persistenced), then"
        " run the same again",
    ),
    fault(
        "device-reset",
        r"Unable to reset PCI device (?P<device>[0-9a-f:.]+)",
        "PCI function {device} cannot be reset by itself",
        "give the VM all functions of the card (siblings: auto); a card in a bad state comes back with a cold start",
    ),
    fault(
        "device-memory",
        r"VFIO_MAP_DMA|vfio_dma_map|failed to setup container for group|cannot limit locked memory",
        "the memory of the VM cannot be pinned for its GPU: the host has too little of it free, or the limit is too"
        " low",
        "stop what takes memory on the host, or give the VM less (machines[].memory); check: free -g",
    ),
)
