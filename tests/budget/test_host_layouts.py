"""Real machines' PCI functions and IOMMU groups, as captured/layouts.yaml has them: what is read, and what it means."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cluster.budget import GpuDemand, functions_of
from cluster.budget.gpus import group_fault
from cluster.host.assemble import assemble
from cluster.host.model import HostFacts
from cluster.host.parse_system import parse_cpuinfo
from cluster.host.sections import Sections

LAYOUTS = yaml.safe_load((Path(__file__).parent / "captured" / "layouts.yaml").read_text())


def host(name: str) -> HostFacts:
    return assemble("h", Sections({"pci": LAYOUTS[name]["functions"], "iommu": "30"}, {"nvidia": "not loaded"}))


def taken(facts: HostFacts, address: str) -> tuple[str, ...]:
    return functions_of(facts, GpuDemand(address))


def fault(facts: HostFacts, address: str) -> str | None:
    card = facts.gpu(address)
    assert card is not None
    group = facts.group_of(card)
    assert group is not None
    return group_fault(group, GpuDemand(address))


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_function_of_a_layout_is_read(name: str) -> None:
    lines = [line.split() for line in LAYOUTS[name]["functions"].splitlines()]
    facts = host(name)
    read = {device.address for group in facts.iommu_groups for device in group.devices}
    assert read == {line[0] for line in lines if line[5] != "-" and len(line[0]) == 12}
    assert [gpu.address for gpu in facts.gpus] == [
        line[0] for line in lines if line[2] == "0x10de" and line[1] in ("0x030000", "0x030200")
    ]


def test_audio_usb_and_serial_functions_move_with_their_card() -> None:
    facts = host("amd-two-cards")
    assert taken(facts, "0000:0a:00.0") == tuple(f"0000:0a:00.{number}" for number in range(4))
    assert taken(facts, "0000:0b:00.0") == ("0000:0b:00.0", "0000:0b:00.1")
    assert [gpu.driver for gpu in facts.gpus] == ["vfio-pci", "nouveau"]
    assert [device.kind for device in facts.iommu_groups[0].devices] == ["vga", "audio", "usb", "serial"]


@pytest.mark.parametrize(
    ("name", "card", "functions"),
    [("intel-with-root-port", "0000:01:00.0", 4), ("amd-server", "0000:41:00.0", 1)],
)
def test_bridges_of_the_group_stay_with_the_host(name: str, card: str, functions: int) -> None:
    facts = host(name)
    assert fault(facts, card) is None
    assert len(taken(facts, card)) == functions
    assert {address.rpartition(".")[0] for address in taken(facts, card)} == {card.rpartition(".")[0]}


def test_behind_a_switch_with_acs_each_card_goes_alone() -> None:
    facts = host("switch-with-acs")
    assert [fault(facts, gpu.address) for gpu in facts.gpus] == [None, None]
    assert set(taken(facts, "0000:1b:00.0")).isdisjoint(taken(facts, "0000:1c:00.0"))


def test_without_acs_two_cards_are_one() -> None:
    facts = host("pairs-without-acs")
    for gpu in facts.gpus:
        assert "IOMMU group" in (fault(facts, gpu.address) or "")
    assert "0000:28:00.0" in (fault(facts, "0000:27:00.0") or "")


def test_without_acs_the_chipset_would_go_along() -> None:
    told = fault(host("chipset-group"), "0000:07:00.0") or ""
    assert "0000:01:00.0 (usb), 0000:01:00.1 (sata)" in told
    assert "bridge" not in told


def test_without_iommu_there_are_no_groups() -> None:
    facts = host("bound-to-nvidia")
    assert facts.iommu_groups == ()
    assert [(gpu.driver, gpu.iommu_group, gpu.compute_capability) for gpu in facts.gpus] == [
        ("nvidia", None, "8.6")
    ] * 2


def test_functions_behind_a_volume_management_device_do_not_disturb() -> None:
    facts = host("volume-management-device")
    assert [gpu.address for gpu in facts.gpus] == ["0000:01:00.0"]
    assert fault(facts, "0000:01:00.0") is None


# Counts as reported in github.com/htop-dev/htop, issue 879 (12th Gen Intel(R) Core(TM) i7-1260P: 12 cores, 16 threads);
# the cores' numbers are composed: four cores of two threads, eight of one.
HYBRID = [0, 0, 4, 4, 8, 8, 12, 12, 16, 17, 18, 19, 20, 21, 22, 23]


def test_a_processor_whose_cores_differ_in_threads() -> None:
    info = "".join(
        f"processor: {number}\nvendor_id: GenuineIntel\nphysical id: 0\ncore id: {core}\nflags: vmx\n"
        for number, core in enumerate(HYBRID)
    )
    cpu = parse_cpuinfo(info, kvm=True)
    assert (cpu.vendor, cpu.cores, cpu.threads) == ("intel", 12, 16)


def topology(cpus: str) -> str:
    cells = f"<topology><cells><cell><cpus>{cpus}</cpus></cell></cells></topology>"
    return f"<capabilities><host>{cells}</host></capabilities>"


def test_the_same_processor_through_libvirt_alone() -> None:
    # nodeinfo takes threads for cores where the product of its numbers is not the number of threads.
    cpus = "".join(
        f"<cpu id='{number}' socket_id='0' die_id='0' core_id='{core}'/>" for number, core in enumerate(HYBRID)
    )
    numbers = {"CPU(s)": 16, "CPU socket(s)": 1, "Core(s) per socket": 16, "Thread(s) per core": 1, "NUMA cell(s)": 1}
    nodeinfo = "".join(f"{key}:   {number}\n" for key, number in numbers.items())
    facts = assemble("h", Sections({"capabilities": topology(cpus), "nodeinfo": nodeinfo, "domains": ""}, {}))
    assert (facts.cpu.cores, facts.cpu.threads) == (12, 16)


def test_cores_of_two_sockets_that_number_them_alike() -> None:
    cpus = "".join(f"<cpu id='{cpu}' socket_id='{cpu // 4}' die_id='0' core_id='{cpu % 2}'/>" for cpu in range(8))
    assert assemble("h", Sections({"capabilities": topology(cpus), "domains": ""}, {})).cpu.cores == 4
