"""A card in one IOMMU group with a bridge, an NVMe drive and a NIC."""

from __future__ import annotations

from lab.hypervisor.cards import driver_of
from tests.hypervisor.inside.vms import define, refusal, virsh

CARD = ("0000:61:00.0", "0000:61:00.1")
NEIGHBOURS = ("0000:62:00.0", "0000:63:00.0")


def test_the_card_alone_is_refused_because_the_host_uses_its_neighbours() -> None:
    assert "group 61 is not viable" in refusal("start", define("one", CARD))
    assert [driver_of(each) for each in (*CARD, *NEIGHBOURS)] == ["nvidia", "snd_hda_intel", "nvme", "ixgbe"]


def test_with_all_of_the_group_but_the_bridge_it_starts() -> None:
    virsh("start", define("one", (*CARD, *NEIGHBOURS)))
    assert {driver_of(each) for each in (*CARD, *NEIGHBOURS)} == {"vfio-pci"}
    assert driver_of("0000:60:01.1") == "pcieport"
    virsh("destroy", "one")
    assert [driver_of(each) for each in (*CARD, *NEIGHBOURS)] == ["nvidia", "snd_hda_intel", "nvme", "ixgbe"]


def test_a_bridge_cannot_be_given_to_a_vm() -> None:
    assert "Non-endpoint PCI devices cannot be assigned to guests" in refusal(
        "start", define("one", ("0000:60:01.1", *CARD))
    )


def test_two_vms_cannot_share_a_group() -> None:
    virsh("start", define("one", (*CARD, NEIGHBOURS[0], NEIGHBOURS[1])))
    assert "is in use by driver QEMU, domain one" in refusal("start", define("two", NEIGHBOURS[:1]))
