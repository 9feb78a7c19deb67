"""The parsers, on texts in the form of the tools that print them (see captured/README.md)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cluster.host.assemble import assemble
from cluster.host.parse_libvirt import (
    parse_capabilities,
    parse_domain,
    parse_nodedev,
    parse_pool,
    parse_version,
    parse_volume_mib,
)
from cluster.host.parse_nvidia import gpus_of, parse_nvidia_smi
from cluster.host.parse_pci import groups_of, kind_of, parse_lspci_names, parse_slots, parse_sysfs
from cluster.host.parse_system import Space, parse_blocks, parse_cpuinfo, parse_df, parse_memory, parse_nics
from cluster.host.sections import Sections, split
from cluster.render.domain_xml import Definition, domain_xslt

GIB = 1024


def text(name: str) -> str:
    return (Path(__file__).parent / "captured" / name).read_text()


def test_running_domain_with_owner_and_gpu() -> None:
    domain = parse_domain(text("domain-running.xml"), "running", autostart=True)
    assert (domain.name, domain.owner, domain.state, domain.autostart) == ("gpu-1", "cloud/prod", "running", True)
    assert (domain.cores, domain.memory) == (12, 32 * GIB)  # the most it may have, not what it has now
    assert (domain.uuid, domain.image, domain.shape) == ("6b9f2f0e-6a0e-4b5c-8a46-0f6c1b6f0a11", None, None)
    assert domain.hostdevs == ("0000:41:00.0", "0000:41:00.1")  # neither the guest's address nor the USB stick


def test_shut_off_domain_without_owner() -> None:
    domain = parse_domain(text("domain-shutoff.xml"), "shut-off")
    assert (domain.owner, domain.cores, domain.memory, domain.hostdevs) == (None, 16, 64 * GIB, ("0000:81:00.0",))


def test_pools() -> None:
    pool = parse_pool(text("pool-active.xml"), "nvme", own_mib=parse_volume_mib(text("volume.xml")))
    assert (pool.name, pool.path, pool.device) == ("inference-cloud", "/var/lib/libvirt/inference-cloud", "nvme")
    assert pool.capacity == 3600 * GIB
    assert pool.allocated == 600 * GIB + 1 - 10 * GIB  # taken is rounded up, our own volumes do not count
    assert parse_pool(text("pool-active.xml"), used_mib=700 * GIB).allocated == 700 * GIB  # libvirt's is older
    idle = parse_pool(text("pool-inactive.xml"))
    assert (idle.capacity, idle.allocated) == (None, None)


def test_marks_are_read_in_both_forms() -> None:
    # as libvirt gives back what cluster/render/domain_xml.py writes, and as VMs made before carry it
    one = "<inference-cloud:owner>cloud/prod</inference-cloud:owner>"
    more = one + "<inference-cloud:image>0123456789ab</inference-cloud:image>"
    wrapped = f'<inference-cloud:vm xmlns:inference-cloud="urn:inference-cloud:owner">{more}</inference-cloud:vm>'
    bare = one.replace("owner>", 'owner xmlns:inference-cloud="urn:inference-cloud:owner">', 1)
    for metadata, image in ((wrapped, "0123456789ab"), (bare, None)):
        text = f"<domain><name>x</name><metadata>{metadata}</metadata><memory>1048576</memory><vcpu>1</vcpu></domain>"
        domain = parse_domain(text, "shut-off")
        assert (domain.owner, domain.image, domain.role) == ("cloud/prod", image, None)


def test_what_the_program_writes_into_a_vm_is_read_back() -> None:
    vm = Definition(
        uuid="11111111-2222-3333-4444-555555555555",
        name="x",
        owner="cloud/prod",
        role="worker",
        image="0123456789ab",
        pool="p",
        pool_path="/p",
        network="n",
    )
    marks = re.search("<metadata>.*</metadata>", domain_xslt(vm), re.DOTALL)
    assert marks
    text = f"<domain><name>x</name>{marks[0]}<memory>1048576</memory><vcpu>1</vcpu></domain>"
    domain = parse_domain(text, "running")
    assert (domain.owner, domain.role, domain.image, domain.shape) == (vm.owner, vm.role, vm.image, vm.shape)


def test_nodedev() -> None:
    function = parse_nodedev(text("nodedev-gpu.xml"))
    assert function is not None
    assert (function.address, function.kind, function.vendor_device) == ("0000:41:00.0", "vga", "10de:26b1")
    assert (function.driver, function.group, function.name) == ("nvidia", 41, "AD102GL [RTX 6000 Ada Generation]")
    assert function.is_nvidia_gpu
    assert parse_nodedev(text("nodedev-net.xml")) is None


def test_capabilities_and_nodeinfo() -> None:
    cpu, memory = parse_capabilities(text("capabilities.xml"), text("nodeinfo.txt"))
    assert (cpu.vendor, cpu.model, cpu.cores, cpu.threads, cpu.virtualization) == ("amd", "EPYC-Genoa", 64, 128, True)
    assert memory == 263852732 // 1024
    emulated = text("capabilities.xml").replace("<domain type='kvm'/>", "")
    assert parse_capabilities(emulated, "")[0].virtualization is False
    assert parse_capabilities(emulated, "")[0].cores is None


def test_capabilities_of_a_machine_without_kvm() -> None:
    cpu, memory = parse_capabilities(text("capabilities-testmachine.xml"), "")
    assert (cpu.vendor, cpu.cores, cpu.virtualization, memory) == ("amd", 2, False, None)


def test_version() -> None:
    assert parse_version(text("version.txt")) == ("11.3.0", "10.0.3")
    assert parse_version("") == (None, None)


def test_cpuinfo_counts_cores_of_all_sockets_once() -> None:
    one = "processor: 0\nvendor_id: GenuineIntel\nmodel name: Xeon\nphysical id: {}\ncore id: {}\nflags: fpu vmx\n"
    info = "".join(one.format(socket, core) for socket in (0, 1) for core in (0, 1, 0, 1))
    cpu = parse_cpuinfo(info, kvm=True)
    assert (cpu.vendor, cpu.cores, cpu.threads, cpu.virtualization) == ("intel", 4, 8, True)
    assert parse_cpuinfo(info, kvm=False).virtualization is False
    assert parse_cpuinfo(info, kvm=None).virtualization is None
    assert parse_cpuinfo(info.replace("vmx", "lm"), kvm=True).virtualization is False
    bare = parse_cpuinfo("processor: 0\nprocessor: 1\n", kvm=True)
    assert (bare.vendor, bare.cores, bare.virtualization) == ("other", 2, None)
    assert parse_cpuinfo("", kvm=None).cores is None


def test_memory_is_what_is_installed_else_what_the_kernel_has() -> None:
    assert parse_memory("2048 8000000", "MemTotal: 263852732 kB") == 256 * GIB
    assert parse_memory(None, "MemTotal:       263852732 kB") == 257668
    assert parse_memory(None, None) is None


def test_nics() -> None:
    nics = parse_nics("enp1 10000 up\nenp2 - down\neth0 -1 unknown\n\nbroken line here now\n")
    assert [(nic.name, nic.mbps, nic.up) for nic in nics] == [
        ("enp1", 10000, True),
        ("enp2", None, False),
        ("eth0", None, None),
    ]


def test_df_and_blocks() -> None:
    table = "Filesystem 1024-blocks Used Available Capacity Mounted on\nserver:/a b 2048 1025 1 50% /mnt/with space\n"
    assert parse_df(table) == Space("/mnt/with space", 2, 2)
    assert parse_df("nonsense") is None
    assert parse_blocks("md0 0 raid1\nnvme0n1 0 disk\nnvme1n1 0 disk\n") == "nvme"
    assert parse_blocks("vg-lv 0 lvm\nnvme0n1 0 disk\nsda 1 disk\n") == "hdd"
    assert parse_blocks("sda1 0 part\nsda 0 disk\n") == "ssd"
    assert parse_blocks("") == "unknown"


def test_sysfs_listing_with_names_and_groups() -> None:
    names = parse_lspci_names(text("lspci.txt"))
    assert names["0000:41:00.0"] == "NVIDIA Corporation AD102GL [RTX 6000 Ada Generation]"
    assert names["0000:62:00.0"].endswith("S4LV008[Pascal]")
    listing = "0000:40:01.1 0x060400 0x1022 0x14ab pcieport 41\n0000:41:00.0 0x030000 0x10de 0x26b1 - 41\nx\n"
    functions = parse_sysfs(listing, names)
    (group,) = groups_of(functions)
    assert [(each.address, each.kind, each.driver) for each in group.devices] == [
        ("0000:40:01.1", "bridge", "pcieport"),
        ("0000:41:00.0", "vga", None),
    ]
    assert groups_of(parse_sysfs("0000:41:00.0 0x030000 0x10de 0x26b1 nvidia -\n")) == ()
    assert (kind_of("0x0c0330"), kind_of("0xff0000")) == ("usb", "class ff00")


def test_nvidia_smi_rows() -> None:
    rows = parse_nvidia_smi(text("nvidia-smi.csv"))
    assert list(rows) == ["0000:41:00.0", "0000:81:00.0", "0000:a1:00.0"]
    assert rows["0000:41:00.0"].serial == "1324023012345"
    assert (rows["0000:41:00.0"].compute_capability, rows["0000:41:00.0"].memory_mib) == ("8.9", 49140)
    assert rows["0000:81:00.0"].serial is None
    old = rows["0000:a1:00.0"]
    assert (old.serial, old.compute_capability, old.memory_mib) == (None, None, None)


def test_the_slots_of_cards() -> None:
    read = {
        "pci": "0000:41:00.0 0x030000 0x10de 0x26b1 vfio-pci 41\n0000:61:00.0 0x030000 0x10de 0x26b1 vfio-pci 61\n",
        "slots": "0000:41:00 2\n0000:05 bus-5\n0000:71:00 Slot 7 (x16)\n\nnonsense\n",
    }
    assert [gpu.slot for gpu in assemble("h", Sections(read)).gpus] == ["2", None]
    assert parse_slots(read["slots"]) == {"0000:41:00": "2", "0000:71:00": "Slot 7 (x16)"}


def test_card_without_its_driver_is_known_by_its_id() -> None:
    (gpu,) = gpus_of(parse_sysfs("0000:61:00.0 0x030000 0x10de 0x26b1 vfio-pci 61\n"), {})
    assert (gpu.model, gpu.compute_capability, gpu.memory) == ("NVIDIA RTX 6000 Ada Generation", "8.9", 48 * GIB)
    assert (gpu.serial, gpu.driver) == (None, "vfio-pci")
    other_maker = parse_sysfs("0000:03:00.0 0x030000 0x1002 0x744c amdgpu 3\n")
    assert gpus_of(other_maker, {}) == ()


@pytest.mark.parametrize(
    ("driver", "smi", "reason"),
    [
        ("vfio-pci", "", "the card is bound to vfio-pci"),
        ("nouveau", "", "the card is bound to nouveau"),
        ("-", "", "no driver is bound to the card"),
        ("nvidia", None, "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."),
        ("nvidia", "No devices were found", "nvidia-smi does not list the card"),
    ],
)
def test_why_a_cards_identity_is_not_known(driver: str, smi: str | None, reason: str) -> None:
    read = {"pci": f"0000:61:00.0 0x030000 0x10de 0x26b1 {driver} 61\n", "domains": ""}
    failed = {} if smi is not None else {"nvidia": reason}
    facts = assemble("h", Sections(read | ({"nvidia": smi} if smi else {}), failed))
    assert facts.unknown["gpus.0000:61:00.0.uuid"] == reason
    assert facts.gpus[0].uuid is None


def test_sections() -> None:
    sections = split("noise\n@@ a\none\n\ntwo\n@@! b\nwhy\n  not\n@@ a b\nthree\n@@! c\n")
    assert sections.read == {"a": "one\n\ntwo", "a b": "three"}
    assert sections.failed == {"b": "why not", "c": "no reason given"}
    assert list(sections.named("a")) == [("b", "three")]
    assert sections.why_not("x", "b") == "why not"


UUID = "a564bd9c-d44d-44f4-8ad0-fa64e81ea8aa"
CAPABILITIES = f"<capabilities><host><uuid>{UUID}</uuid></host></capabilities>"


@pytest.mark.parametrize(
    ("read", "machine"),
    [
        (
            {"capabilities": CAPABILITIES},
            (f"libvirt {UUID}",),
        ),
        (
            {
                "capabilities": CAPABILITIES,
                "boot": "b1\n",
            },
            (f"libvirt {UUID}", "boot b1"),
        ),
        ({"capabilities": "<capabilities><host/></capabilities>", "boot": "b1"}, ("boot b1",)),
        ({"capabilities": "<cap"}, ()),
        ({}, ()),
    ],
)
def test_which_machine_a_host_is(read: dict[str, str], machine: tuple[str, ...]) -> None:
    assert assemble("h", Sections(read)).machine == machine


def hostdevs(*slots: str) -> str:
    addresses = (f"<address domain='0x0000' bus='0x{each}' slot='0x00' function='0x0'/>" for each in slots)
    devices = "".join(f"<hostdev type='pci'><source>{each}</source></hostdev>" for each in addresses)
    return f"<domain><name>n</name><memory>1048576</memory><vcpu>1</vcpu><devices>{devices}</devices></domain>"


def test_a_running_vm_has_what_it_has_now_and_what_its_next_start_takes() -> None:
    taken, given = parse_domain(hostdevs("41"), "running", inactive=hostdevs("61")), hostdevs("41", "61")
    assert (taken.hostdevs, taken.attached) == (("0000:41:00.0", "0000:61:00.0"), ("0000:41:00.0",))
    same = parse_domain(given, "running", inactive=hostdevs("61", "41"))
    assert (same.hostdevs, same.attached) == (("0000:41:00.0", "0000:61:00.0"), None)
    assert parse_domain(hostdevs("41"), "shut-off").attached is None


def test_a_whole_workstation() -> None:
    facts = assemble("workstation", split(text("probe-workstation.txt")), "inference-cloud")
    assert (facts.cpu.cores, facts.cpu.threads, facts.cpu.virtualization) == (2, 4, True)
    assert facts.memory == 256 * GIB
    assert facts.iommu is True
    assert facts.bridges == ("virbr0", "br0")
    assert (facts.kernel, facts.libvirt, facts.qemu) == ("6.12.48+deb13-amd64", "11.3.0", "10.0.3")
    assert [(pool.name, pool.path, pool.capacity, pool.allocated, pool.device) for pool in facts.pools] == [
        ("inference-cloud", "/var/lib/libvirt/inference-cloud", 3600 * GIB, 410 * GIB + 1, "nvme"),
        ("/", "/", 3600 * GIB, 430080 + 1, "nvme"),
    ]
    assert [(each.name, each.owner, each.state, each.autostart) for each in facts.domains] == [
        ("gpu-1", "cloud/prod", "running", True),
        ("hpc-gpu-1", None, "shut-off", False),
    ]
    assert [(gpu.address, gpu.compute_capability) for gpu in facts.gpus] == [
        ("0000:41:00.0", "8.9"),
        ("0000:61:00.0", "8.9"),
        ("0000:71:00.0", None),
    ]
    assert facts.routes == {"192.168.0.0/24": "br0"}
    assert [(each.name, each.bridge, each.cidr) for each in facts.networks] == [
        ("default", "virbr0", "192.168.122.0/24")
    ]
    assert facts.denied is None
    holder = facts.holder("0000:61:00.0")
    assert holder is not None
    assert holder.name == "gpu-1"
    assert facts.unknown == {
        "gpus.0000:61:00.0.uuid": "the card is bound to vfio-pci",
        "gpus.0000:71:00.0.memory": "the card is bound to vfio-pci, and 10de:abcd is not in the table of known cards",
        "gpus.0000:71:00.0.uuid": "the card is bound to vfio-pci",
        "gpus.0000:71:00.0.compute_capability": (
            "the card is bound to vfio-pci, and 10de:abcd is not in the table of known cards"
        ),
        "nics.enp65s0f1": "its driver tells no link speed",
    }


def test_the_test_machine() -> None:
    facts = assemble("testmachine", split(text("probe-testmachine.txt")), "inference-cloud")
    assert (facts.cpu.cores, facts.memory, facts.iommu, facts.gpus) == (2, 24 * GIB, False, ())
    assert facts.unknown["domains"] == "virsh is not installed"
    assert facts.unknown["nics.eth0"]


@pytest.mark.parametrize("broken", ["<domain", "<domain/>", "<domain><name>x</name><vcpu>many</vcpu></domain>"])
def test_a_domain_that_cannot_be_read_makes_the_list_unknown(broken: str) -> None:
    sections = Sections({"domains": "x\n", "domain x": broken}, {})
    facts = assemble("h", sections)
    assert facts.domains == ()
    assert facts.unknown["domains"].startswith("vm x: libvirt's XML cannot be read")


def test_an_inactive_pool_and_a_silent_host_have_reasons() -> None:
    idle = assemble("h", Sections({"pool scratch": text("pool-inactive.xml")}, {"domains": "no"}))
    assert "virsh pool-start scratch" in idle.unknown["pools.scratch"]
    silent = assemble("h", Sections({}, {"domains": "nobody home"}))
    for fact in ("cpu.cores", "cpu.virtualization", "memory", "iommu", "gpus", "pools", "domains"):
        assert silent.unknown[fact] == "nobody home"
    assert {"nics", "bridges"} <= silent.unknown.keys()


def test_a_host_of_which_only_libvirt_can_be_asked() -> None:
    sections = Sections(
        {
            "capabilities": text("capabilities.xml"),
            "nodeinfo": text("nodeinfo.txt"),
            "nodedevs": "pci_0000_41_00_0",
            "nodedev pci_0000_41_00_0": text("nodedev-gpu.xml"),
            "domains": "",
        },
        {},
    )
    facts = assemble("h", sections)
    assert (facts.cpu.cores, facts.iommu, [gpu.address for gpu in facts.gpus]) == (64, True, ["0000:41:00.0"])
    assert "use a qemu+ssh:// URI" in facts.unknown["nics"]
