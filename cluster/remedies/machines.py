"""VMs: what QEMU and libvirt refuse about one that is defined or started."""

from __future__ import annotations

from cluster.remedies.fault import fault

FAULTS = (
    fault(
        "vm-name-taken",
        r"domain '(?P<vm>[^']+)' already exists with uuid (?P<uuid>[0-9a-f-]+)",
        "someone else's VM is called {vm} (uuid {uuid}); it was not touched",
        "choose another machines[].name; what it is: {virsh} dominfo {vm}",
    ),
    fault(
        "vm-uuid-taken",
        r"domain '(?P<vm>[^']+)' is already defined with uuid (?P<uuid>[0-9a-f-]+)",
        "VM {vm} has the uuid {uuid} that this VM is to have: it was renamed, or copied from one of ours",
        "rename it back, or give the copy a uuid of its own; what it is: {virsh} dominfo {vm}",
    ),
    fault(
        "vm-running",
        r"domain is already (?:running|active)",
        "the VM is there already and runs, but the state does not know it: an earlier run was cut off",
        "{again}",
    ),
    fault(
        "kvm-missing",
        r"does not support virt type 'kvm'|domaintype=kvm|Could not access KVM kernel module|failed to initialize kvm"
        r"|KVM is not available",
        "the host offers no KVM to this VM",
        "switch VT-x or AMD-V on in the firmware setup and load the module (sudo modprobe kvm_intel, or kvm_amd);"
        " check: ls -l /dev/kvm; on a machine that has none: hosts[].emulation: true",
    ),
    fault(
        "hugepages-missing",
        r"hugetlbfs filesystem is not mounted|unable to map backing store for guest RAM"
        r"|Insufficient free host memory pages"
        r"|Unable to find any usable hugetlbfs mount for (?P<kib>\d+) KiB|preallocat\w+ .*(?:huge|Cannot allocate)",
        "the host has no huge pages of that size left for the VM",
        "reserve them: hugepagesz=1G hugepages=N on the kernel's command line (2 MiB: sysctl vm.nr_hugepages=N),"
        " mount hugetlbfs at /dev/hugepages; or leave machines[].hugepages out; check: grep Huge /proc/meminfo",
    ),
    fault(
        "memory-short",
        r"cannot set up guest memory|Cannot allocate memory",
        "the host has too little free memory for the VM",
        "what runs there: {virsh} list; stop some of it or give the VM less (machines[].memory); check: cloudctl"
        " capacity --stack {stack}",
    ),
    fault(
        "firmware-missing",
        r"unable to find any master var store for loader|Unable to find '?(?:efi|uefi)'? firmware"
        r"|find any firmware to satisfy"
        r"|(?:Failed to open file|Could not open) '[^']*(?:OVMF|edk2)[^']*'",
        "the host has no UEFI firmware for VMs",
        "on the host: sudo apt-get install ovmf (edk2-ovmf elsewhere), or machines[].firmware: bios",
    ),
    fault(
        "machine-type",
        r"does not support machine type '(?P<type>[^']+)'|Unsupported machine type"
        r"|Cannot find machine type (?P<other>\S+)",
        "QEMU on the host is too old, or too new, for machine type {type}{other}",
        "machines[].machine_type: q35 takes what is there; which there are: qemu-system-x86_64 -machine help",
    ),
    fault(
        "cpu-mode",
        r"CPU mode '(?P<mode>[^']+)' .* is not supported by hypervisor|CPU is incompatible with host CPU",
        "the host cannot offer a VM the CPU mode {mode}",
        "machines[].cpu_mode: auto; without KVM also hosts[].emulation: true",
    ),
    fault(
        "cpu-pinning",
        r"cannot set CPU affinity|vcpupin|CPU '?\d+'? .*(?:not available|out of range)",
        "machines[].cpu_pinning names a CPU that the host does not have",
        "which there are: lscpu -e; mend machines[].cpu_pinning, or leave it out",
    ),
    fault(
        "apparmor",
        r"cannot load AppArmor profile|apparmor.*denied",
        "AppArmor on the host refuses the VM's profile",
        "on the host: sudo systemctl reload apparmor; a pool outside /var/lib/libvirt has to be named in"
        " /etc/apparmor.d/local/abstractions/libvirt-qemu; what it refused: journalctl -k -g apparmor",
    ),
    fault(
        "disk-in-use",
        r'Failed to get (?:shared )?"(?:write|consistent read)" lock',
        "another VM, or another process, has the disk open",
        "which: sudo fuser -v FILE on the host; no two VMs may have one disk; end it, then run the same again",
    ),
    fault(
        "disk-broken",
        r"Image is not in (?P<format>\w+) format|not a valid qcow2|header of 8 bytes|Image is corrupt"
        r"|error while determining image type for (?P<file>\S+?): (?:expected|EOF)",
        "the disk image {file} is damaged, or of another format than it is said to be",
        "look at it: qemu-img check FILE; a base image of ours whose file in .cloud/images is damaged is built again by"
        " the next update; one of your own is named in images.url",
    ),
    fault(
        "backing-file",
        r"Cannot access backing file '(?P<base>[^']+)' of storage file '(?P<disk>[^']+)'",
        "the image {base}, which disk {disk} is based on, is gone or cannot be read",
        "lay it back; without it the disk is worthless: {virsh} vol-list POOL shows what is there",
    ),
    fault(
        "disk-missing",
        r"Cannot access storage file '(?P<disk>[^']+)'.*: (?P<why>No such file or directory|Permission denied)",
        "QEMU cannot open the disk {disk}: {why}",
        "if it is gone: pulumi refresh --stack {stack}, then run the same again; if it may not be read: every folder"
        " above has to let libvirt's QEMU user through (namei -l FILE)",
    ),
    fault(
        "disk-permission",
        r"Could not open '(?P<disk>[^']+)': Permission denied",
        "QEMU may not open {disk}",
        "every folder above has to let libvirt's QEMU user through (namei -l FILE); a pool belongs under"
        " /var/lib/libvirt",
    ),
)
