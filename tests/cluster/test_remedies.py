"""The table of known failures: texts as they are really said, each with where it is from.

Captured: said by libvirt 9.0, QEMU 7.2, virsh, OpenSSH or the libvirt plugin on a machine of ours that was made to
fail. Source: built from the format strings of the named program. Reported: quoted in a public report.
"""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.remedies import FAULTS, remedy_for

UUID = "11111111-2222-3333-4444-555555555555"

# (fault, text, a word that the reason or the remedy must hold)
TEXTS: tuple[tuple[str, str, str], ...] = (
    # captured: the plugin with a PATH that lacks them
    ("xsltproc-missing", 'error applying XSLT stylesheet: exec: "xsltproc": executable file not found in $PATH', "apt"),
    (
        "mkisofs-missing",
        "error while starting the creation of CloudInit's ISO image:"
        ' exec: "mkisofs": executable file not found in $PATH',
        "genisoimage",
    ),
    # source: utils_xslt.go, where xsltproc ends with a status
    ("stylesheet", "error applying XSLT stylesheet: exit status 5", "exit status 5"),
    # captured: ssh and virsh
    (
        "host-name",
        "error: failed to connect to the hypervisor error: Cannot recv data: ssh: Could not resolve hostname"
        " nowhere.invalid: Temporary failure in name resolution: Connection reset by peer",
        "nowhere.invalid",
    ),
    # source: Go's net package, as the provider passes it on
    (
        "host-name",
        "failed to connect: failed to connect to remote host 'ws': dial tcp: lookup ws on 10.0.0.1:53: no such host",
        "ssh ws true",
    ),
    # source: golang.org/x/crypto/ssh/knownhosts
    (
        "host-key-unknown",
        "failed to connect to remote host 'ws': ssh: handshake failed: knownhosts: key is unknown",
        "by hand",
    ),
    ("host-key-changed", "ssh: handshake failed: knownhosts: key mismatch", "ssh-keygen -R"),
    # captured: the plugin, for a user without the file
    (
        "host-key-unknown",
        "failed to connect: failed to read ssh known hosts: open /root/.ssh/known_hosts: no such file or directory",
        "known_hosts",
    ),
    # source: OpenSSH
    ("host-key-unknown", "ssh could not read host ws: Host key verification failed.", "fingerprint"),
    ("ssh-login", "ssh could not read host ws: lab@ws: Permission denied (publickey,password).", "ssh-copy-id"),
    # captured: the plugin without key and agent
    ("ssh-login", "failed to connect: could not configure SSH authentication methods", "ssh-agent"),
    # source: golang.org/x/crypto/ssh
    (
        "ssh-login",
        "ssh: handshake failed: ssh: unable to authenticate, attempted methods [none publickey], no supported methods",
        "ssh-copy-id",
    ),
    # source: OpenSSH, Go
    ("host-silent", "ssh: connect to host ws port 22: Connection timed out", "SSH port"),
    ("host-silent", "ssh could not read host ws: connect to host ws port 22: No route to host", "is on"),
    ("host-silent", "failed to connect to remote host 'ws': dial tcp 10.0.0.9:22: i/o timeout", "is on"),
    ("port-refused", "ssh: connect to host ws port 22: Connection refused", "ws port 22"),
    ("port-refused", "failed to connect to remote host 'ws': dial tcp 10.0.0.9:22: connect: connection refused", ":22"),
    # captured: virsh
    ("port-refused", "error: unable to connect to server at '127.0.0.1:16509': Connection refused", "127.0.0.1:16509"),
    (
        "tls-certificate",
        "error: Cannot read CA certificate '/etc/pki/CA/cacert.pem': No such file or directory",
        "qemu+ssh",
    ),
    (
        "wrong-uri",
        "error: internal error: unexpected qemu URI path '/sistem', try qemu:///system",
        "/sistem",
    ),
    ("wrong-uri", "error: no connection driver available for xen:///system", "qemu:///system"),
    # source: uri/connection_uri.go
    ("wrong-uri", "failed to connect: transport 'libssh2' not implemented", "libssh2"),
    # captured: virsh as an ordinary user, with and without the right to read
    (
        "no-permission",
        "error: Failed to connect socket to '/var/run/libvirt/libvirt-sock-ro': Permission denied",
        "sudo usermod -aG libvirt $USER, then log in again",
    ),
    # source: Go's net package, as the provider passes it on
    (
        "no-permission",
        "failed to connect: dial unix /var/run/libvirt/libvirt-sock: connect: permission denied",
        "usermod",
    ),
    # reported: virt-manager/virt-manager 625
    (
        "no-permission",
        "authentication unavailable: no polkit agent available to authenticate action 'org.libvirt.unix.manage'",
        "usermod",
    ),
    # source: uri/ssh.go
    (
        "remote-socket",
        "failed to connect: failed to connect to libvirt on the remote host: ssh: rejected: connect failed",
        "systemctl enable --now libvirtd",
    ),
    # captured: virsh and the plugin while libvirtd does not run
    (
        "libvirt-not-running",
        "error: Failed to connect socket to '/var/run/libvirt/libvirt-sock-ro': No such file or directory",
        "/var/run/libvirt/libvirt-sock-ro",
    ),
    (
        "libvirt-not-running",
        "failed to connect: dial unix /var/run/libvirt/libvirt-sock: connect: connection refused",
        "systemctl enable --now libvirtd",
    ),
    ("virsh-missing", "virsh is not installed", "libvirt-clients"),  # the probe's own words
    ("libvirt-silent", "virsh did not answer within 20 s", "systemctl status libvirtd"),  # the probe's own words
    # reported: many; libvirt's qemu_domain.c
    (
        "libvirt-busy",
        "Timed out during operation: cannot acquire state change lock (held by monitor=remoteDispatchDomainCreate)",
        "wait",
    ),
    # source: the engine's plugin host
    ("plugin-died", "rpc error: code = Unavailable desc = error reading from server: EOF", "recover"),
    # captured: the plugin when libvirtd was killed while it worked; the second is each later call of the same run
    ("connection-lost", "error creating libvirt domain: procedure interrupted while awaiting response", "--strays"),
    ("connection-lost", "error building libvirt storage pool: invalid argument", "--strays"),
    ("connection-lost", "invalid argument", "--strays"),
    # reported: dmacvicar/terraform-provider-libvirt 266
    ("connection-lost", "End of file while reading data: Input/output error", "--strays"),
    # source: Go's net package
    ("connection-lost", "write unix @->/run/libvirt/libvirt-sock: write: broken pipe", "restart libvirtd"),
    # source: libvirt's virhostdev.c; the lab's stand-in says the same
    (
        "device-in-use",
        "error creating libvirt domain: Requested operation is not valid: PCI device 0000:41:00.0 is in use by driver"
        " QEMU, domain hpc-gpu-1",
        "shutdown hpc-gpu-1",
    ),
    # reported: NVIDIA/kubevirt-gpu-device-plugin 50
    (
        "group-not-viable",
        "internal error: qemu unexpectedly closed the monitor: 2022-06-28T10:05:00.313360Z qemu-kvm: -device"
        " vfio-pci,host=0000:01:00.0,id=ua-gpu-gpu1,bus=pci.6,addr=0x0: vfio 0000:01:00.0: group 1 is not viable\n"
        "Please ensure all devices within the iommu_group are bound to their vfio bus driver.",
        "/sys/kernel/iommu_groups/1/devices",
    ),
    # reported: 64kramsystem/vga-passthrough 15, an older QEMU
    ("group-not-viable", "vfio error: 0000:01:00.0: group 1 is not viable Please ensure all devices", "0000:01:00.0"),
    # source: libvirt's virpci.c
    (
        "vfio-missing",
        "internal error: Failed to load PCI driver module vfio-pci: administratively prohibited",
        "modprobe vfio-pci",
    ),
    # source: QEMU's hw/vfio/common.c
    (
        "device-busy",
        "-device vfio-pci,host=0000:41:00.0: vfio 0000:41:00.0: failed to open /dev/vfio/14: Device or resource busy",
        "fuser -v /dev/vfio/14",
    ),
    # captured: libvirtd on a machine without IOMMU
    (
        "passthrough-off",
        "unsupported configuration: host doesn't support passthrough of host PCI devices",
        "iommu=on",
    ),
    # source: libvirt's virpci.c
    (
        "device-missing",
        "Device 0000:41:00.0 not found: could not access /sys/bus/pci/devices/0000:41:00.0/config: No such file",
        "0000:41:00.0",
    ),
    (
        "device-bind",
        "internal error: Failed to bind PCI device '0000:41:00.0' to vfio-pci: Device or resource busy",
        "0000:41:00.0",
    ),
    (
        "device-reset",
        "internal error: Unable to reset PCI device 0000:00:14.0: no FLR, PM reset or bus reset available",
        "siblings: auto",
    ),
    # source: QEMU's hw/vfio/common.c
    (
        "device-memory",
        "vfio 0000:41:00.0: failed to setup container for group 14: memory listener initialization failed:"
        " vfio_dma_map(0x55, 0x0, 0x80000000, 0x7f) = -12 (Cannot allocate memory)",
        "machines[].memory",
    ),
    # captured: libvirtd
    (
        "vm-name-taken",
        f"error defining libvirt domain: operation failed: domain 'vm' already exists with uuid {UUID}",
        UUID,
    ),
    ("vm-uuid-taken", f"operation failed: domain 'vm' is already defined with uuid {UUID}", "dominfo vm"),
    # source: libvirt's qemu_driver.c
    (
        "vm-running",
        "error creating libvirt domain: Requested operation is not valid: domain is already running",
        "recover",
    ),
    # captured: the plugin
    (
        "kvm-missing",
        "error defining libvirt domain: unsupported configuration: Emulator '/usr/bin/qemu-system-x86_64' does not"
        " support virt type 'kvm'",
        "hosts[].emulation",
    ),
    # reported: dmacvicar/terraform-provider-libvirt 11
    ("kvm-missing", "invalid argument: could not find capabilities for arch=x86_64 domaintype=kvm", "/dev/kvm"),
    # captured: libvirtd and QEMU
    (
        "hugepages-missing",
        "internal error: hugetlbfs filesystem is not mounted or disabled by administrator config",
        "huge",
    ),
    (
        "hugepages-missing",
        "qemu-system-x86_64: unable to map backing store for guest RAM: Cannot allocate memory",
        "hugepages=N",
    ),
    ("hugepages-missing", "internal error: Unable to find any usable hugetlbfs mount for 1048576 KiB", "meminfo"),
    (
        "memory-short",
        "error creating libvirt domain: internal error: process exited while connecting to monitor:"
        " qemu-system-x86_64: cannot set up guest memory 'pc.ram': Cannot allocate memory",
        "cloudctl capacity",
    ),
    (
        "firmware-missing",
        "operation failed: unable to find any master var store for loader: /usr/share/OVMF/OVMF_CODE_NONE.fd",
        "ovmf",
    ),
    # source: libvirt's qemu_firmware.c
    ("firmware-missing", "operation failed: Unable to find 'efi' firmware that is compatible with the current", "ovmf"),
    # captured: libvirtd
    (
        "machine-type",
        "unsupported configuration: Emulator '/usr/bin/qemu-system-x86_64' does not support machine type 'pc-q35-99.0'",
        "pc-q35-99.0",
    ),
    # reported: dmacvicar/terraform-provider-libvirt 297
    ("machine-type", "[WARN] Cannot find machine type pc-i440fx-rhel7.4.0 for hvm/x86_64 in {{ capabilities", "q35"),
    # captured: libvirtd
    (
        "cpu-mode",
        "unsupported configuration: CPU mode 'host-passthrough' for x86_64 qemu domain on x86_64 host is not supported"
        " by hypervisor",
        "cpu_mode: auto",
    ),
    ("cpu-pinning", "cannot set CPU affinity on process 2070: Invalid argument", "lscpu"),
    # source: libvirt's security_apparmor.c
    ("apparmor", f"internal error: cannot load AppArmor profile 'libvirt-{UUID}'", "apparmor"),
    # captured: QEMU
    (
        "disk-in-use",
        'Failed to get "write" lock\nIs another process using the image [/pool/gpu-1-root.qcow2]?',
        "fuser",
    ),
    ("disk-broken", '"file":"libvirt-1-storage","backing":null}: Image is not in qcow2 format', "qemu-img check"),
    # source: volume_image.go
    ("disk-broken", "error while determining image type for /i.qcow2: expected header of 8 bytes. Got 3", "/i.qcow2"),
    # captured: libvirtd
    (
        "backing-file",
        "Cannot access backing file '/pool/base.qcow2' of storage file '/pool/top.qcow2' (as uid:0, gid:0): No such"
        " file or directory",
        "/pool/base.qcow2",
    ),
    (
        "disk-missing",
        "error creating libvirt domain: Cannot access storage file '/nowhere/x.qcow2': No such file or directory",
        "pulumi refresh",
    ),
    # composed: the same of a file that is there
    (
        "disk-missing",
        "Cannot access storage file '/nowhere/x.qcow2' (as uid:64055, gid:108): Permission denied",
        "namei",
    ),
    # source: QEMU's block layer
    ("disk-permission", "Could not open '/home/lab/pool/a.qcow2': Permission denied", "namei"),
    # captured: libvirtd
    (
        "network-name-taken",
        f"error defining libvirt network: operation failed: network 'n1' already exists with uuid {UUID} - <network>",
        "net-dumpxml n1",
    ),
    # captured: virsh
    ("network-running", "Requested operation is not valid: network is already active", "recover"),
    # captured: the plugin, and virsh
    (
        "network-address-taken",
        "error creating libvirt network: internal error: Network is already in use by interface br9",
        "interface br9",
    ),
    ("bridge-taken", "internal error: bridge name 'virbr7' already in use.", "virbr7"),
    ("bridge-taken", "error creating bridge interface br9: File exists", "br9"),
    # source: dnsmasq
    (
        "dns-address-taken",
        "dnsmasq: failed to create listening socket for 192.168.200.1: Address already in use",
        "192.168.200.1",
    ),
    # source: libvirt's virutil and bridge_driver.c
    ("dnsmasq-missing", "Cannot find 'dnsmasq' in path: No such file or directory", "dnsmasq-base"),
    (
        "firewall",
        "internal error: Failed to apply firewall command 'iptables -w --table filter --list-rules': iptables: not",
        "iptables",
    ),
    # captured: libvirtd
    ("network-missing", "Network not found: no network with matching name 'nonet'", "nonet"),
    ("bridge-missing", "Cannot get interface MTU on 'br77': No such device", "br77"),
    # captured: a pool that libvirt's death left half made, taken into the state
    ("half-made", "sdk-v2/provider2.go:572: sdk.helper_schema: doesn't support update: provider=libvirt", "recover"),
    (
        "pool-full",
        "error creating libvirt volume: cannot allocate 16777216 bytes in file '/mnt/p/x.raw': No space left on device",
        "free space",
    ),
    (
        "pool-full",
        "internal error: Child process (/usr/bin/qemu-img create -f qcow2 /mnt/p/w.qcow2 20480K) unexpected exit status"
        " 1: qemu-img: /mnt/p/w.qcow2: Could not write qcow2 header: No space left on device",
        "free space",
    ),
    # captured: the plugin
    ("pool-name-taken", "storage pool 'p1' already exists", "pool-dumpxml p1"),
    ("pool-name-taken", f"operation failed: pool 'p1' already exists with uuid {UUID}", "pool-dumpxml p1"),
    (
        "pool-path-taken",
        "error creating libvirt storage pool: operation failed: Storage source conflict with pool: 'p9'",
        "pool p9",
    ),
    # captured: virsh
    ("pool-inactive", "Requested operation is not valid: storage pool 'p1' is not active", "pool-start p1"),
    ("pool-missing", "can't find storage pool 'p1'", "pulumi refresh"),
    ("pool-folder", "failed to create directory '/proc/x': No such file or directory", "/proc/x"),
    ("pool-folder", "cannot open directory '/srv/gone': No such file or directory", "/srv/gone"),
    # source: libvirt's storage_util.c
    (
        "pool-not-empty",
        "error deleting storage pool: failed to remove pool '/srv/p': Directory not empty",
        "ls -la /srv/p",
    ),
    # captured: virsh
    ("volume-exists", "storage volume 'a.img' exists already", "a.img"),
    # captured: the plugin
    (
        "image-missing",
        "error while determining image type for /nowhere.qcow2: error while opening /nowhere.qcow2: open"
        " /nowhere.qcow2: no such file or directory",
        "/nowhere.qcow2",
    ),
    # source: volume_image.go
    ("image-missing", "error accessing remote resource: https://h/i.qcow2 - 404 Not Found", "https://h/i.qcow2"),
    # captured: the plugin
    (
        "volume-missing",
        "can't retrieve volume ID '/nowhere/x': Storage volume not found: no storage vol with matching key /nowhere/x",
        "/nowhere/x",
    ),
    # source: resource_libvirt_volume.go
    (
        "disk-shrinks",
        "when 'size' is specified, it shouldn't\nbe smaller than the backing store specified with\n'base_volume_id'",
        "images.size",
    ),
)


@pytest.mark.parametrize(("fault", "text", "word"), TEXTS, ids=lambda value: str(value)[:40])
def test_what_is_said_is_known(fault: str, text: str, word: str) -> None:
    found = remedy_for(text)
    assert found is not None
    assert found.fault == fault
    assert word in str(found)


def test_every_entry_is_met_by_a_text_and_names_are_not_given_twice() -> None:
    names = [each.name for each in FAULTS]
    assert sorted({fault for fault, _, _ in TEXTS}) == sorted(names)
    assert len(names) == len(set(names))


def test_words_of_an_entry_come_from_its_pattern() -> None:
    for fault in FAULTS:
        told = {key for text in (fault.reason, fault.remedy) for _, key, _, _ in string.Formatter().parse(text) if key}
        assert told <= {*fault.pattern.groupindex, "virsh", "stack", "again"}, fault.name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "exit status 1",
        "Permission denied",
        "No such file or directory",
        "Connection refused",
        "invalid argument: could not find something",
        "the VM did not answer",
        "plan refused: Insufficient ram: need 96 GB, have 64 GB",
    ],
)
def test_what_is_not_known_is_not_guessed(text: str) -> None:
    assert remedy_for(text) is None


def test_commands_name_the_host_and_the_stack() -> None:
    found = remedy_for("storage pool 'p1' already exists", uri="qemu+ssh://ws/system", stack="prod")
    assert found is not None
    assert "virsh -c qemu+ssh://ws/system pool-dumpxml p1" in found.remedy
    assert "cloudctl recover --stack prod --strays" in found.remedy


def test_lines_are_broken_anywhere() -> None:
    for _, text, _ in TEXTS:
        assert remedy_for(re.sub(" ", "\n\t", text)) == remedy_for(text)


@given(st.text(max_size=200))
def test_no_text_makes_it_fail(text: str) -> None:
    remedy_for(text)
    remedy_for(f"domain '{text}' already exists with uuid {UUID}")
