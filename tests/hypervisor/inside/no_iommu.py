"""Cards without an IOMMU: there is nothing that could isolate them."""

from __future__ import annotations

from pathlib import Path

from lab.hypervisor.cards import driver_of
from tests.hypervisor.inside.vms import define, refusal

CARD = ("0000:41:00.0", "0000:41:00.1")


def test_libvirt_refuses_passthrough() -> None:
    assert list(Path("/sys/kernel/iommu_groups").iterdir()) == []
    assert "host doesn't support passthrough of host PCI devices" in refusal("start", define("one", CARD[:1]))
    assert driver_of(CARD[0]) == "nvidia"
