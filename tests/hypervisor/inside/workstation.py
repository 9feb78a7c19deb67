"""Two free cards and a third, each with its audio function in an IOMMU group of its own."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import threading
from collections import Counter
from pathlib import Path

import pytest

from cluster.host.collect import collect
from cluster.host.model import load_facts
from cluster.settings.model import Host
from lab.hypervisor import cards, daemons
from lab.hypervisor.cards import Fault, driver_of
from lab.hypervisor.cards.handles import hostdev_xml
from lab.hypervisor.namespaces import ROOT
from tests.hypervisor.inside.vms import define, refusal, until, virsh

FIRST = ("0000:41:00.0", "0000:41:00.1")
SECOND = ("0000:61:00.0", "0000:61:00.1")
HOST_DRIVERS = {"nvidia", "snd_hda_intel"}
SYSFS = Path("/sys/bus/pci")


def drivers(functions: tuple[str, ...]) -> list[str | None]:
    return [driver_of(each) for each in functions]


def regions(name: str, ident: str) -> list[int]:
    """Return the sizes of the memory regions of a guest's PCI device, by QEMU, as its firmware has placed them.

    Fails where the guest has no stand-in for a card under that id.
    """

    def parts() -> list[str]:
        text = virsh("qemu-monitor-command", name, "--hmp", "info pci")
        return [part for part in re.split(r"(?m)^(?=  Bus)", text) if f'id "{ident}"' in part]

    until(lambda: re.search(r"BAR0: .*\[0x", "".join(parts())), f"{name} has {ident}, and its firmware has placed it")
    (part,) = parts()
    assert "PCI device 1b36:0005" in part
    found = re.findall(r"memory at (\w+) \[(\w+)\]", part)
    return [int(last, 16) - int(first, 16) + 1 for first, last in found]


def test_facts_read_here_are_those_of_the_file() -> None:
    told = load_facts(ROOT / "lab/hosts/workstation.yaml")[0]
    read = collect(Host(name="workstation", uri=daemons.URI))
    assert read.gpus == told.gpus
    assert read.iommu is True
    for gpu in told.gpus:
        ours, theirs = read.group_of(gpu), told.group_of(gpu)
        assert ours is not None
        assert theirs is not None
        assert [(each.address, each.kind, each.vendor_device, each.driver) for each in ours.devices] == [
            (each.address, each.kind, each.vendor_device, each.driver) for each in theirs.devices
        ]


def test_a_vm_gets_the_card_and_gives_it_back() -> None:
    vm, other = define("one", FIRST), define("two", FIRST[:1])
    virsh("start", vm)
    assert drivers(FIRST) == ["vfio-pci", "vfio-pci"]
    assert drivers(SECOND) == ["nvidia", "snd_hda_intel"]
    # the stand-in for a card, under the ids that libvirt gave the hostdevs
    # registers, and all of the 48 GiB in one region, whose size is a power of two
    assert regions(vm, "hostdev0") == [4096, 64 << 30]
    assert regions(vm, "hostdev1") == [4096]
    assert "PCI device 0000:41:00.0 is in use by driver QEMU, domain one" in refusal("start", other)
    virsh("destroy", vm)
    assert drivers(FIRST) == ["nvidia", "snd_hda_intel"]
    virsh("start", vm)
    virsh("destroy", vm)


def test_only_cards_with_the_host_driver_answer_nvidia_smi() -> None:
    asked = ("nvidia-smi", "--query-gpu=pci.bus_id,serial,uuid,memory.total", "--format=csv,noheader,nounits")
    before = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    assert "00000000:41:00.0, 1324023012345, GPU-2f6b1c58-9c1e-4a0c-8f57-6d1b5e0f3a11, 49140\n" in before
    virsh("start", define("one", FIRST))
    after = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    assert before.splitlines()[1:] == after.splitlines()


def test_two_vms_have_a_card_each() -> None:
    for name, functions in (("one", FIRST), ("two", SECOND)):
        virsh("start", define(name, functions))
    assert {*drivers(FIRST), *drivers(SECOND)} == {"vfio-pci"}
    virsh("destroy", "one")
    assert drivers(FIRST) == ["nvidia", "snd_hda_intel"]
    assert drivers(SECOND) == ["vfio-pci", "vfio-pci"]


def test_a_card_without_its_sibling_is_refused_by_vfio() -> None:
    said = refusal("start", define("half", FIRST[:1]))
    assert "vfio 0000:41:00.0: group 41 is not viable" in said
    assert drivers(FIRST) == ["nvidia", "snd_hda_intel"]


def test_a_libvirtd_that_is_killed_finds_vm_and_card_again() -> None:
    vm, other = define("one", FIRST), define("two", FIRST)
    virsh("start", vm)
    emulator = Path("/run/libvirt/qemu/one.pid").read_text()
    daemons.stop(kill=True)
    assert drivers(FIRST) == ["vfio-pci", "vfio-pci"]
    daemons.start()
    assert virsh("list", "--name") == vm
    assert Path("/run/libvirt/qemu/one.pid").read_text() == emulator
    assert regions(vm, "hostdev1") == [4096]
    assert "is in use by driver QEMU, domain one" in refusal("start", other)
    virsh("destroy", vm)
    assert drivers(FIRST) == ["nvidia", "snd_hda_intel"]


def test_an_emulator_that_is_killed_gives_the_card_back() -> None:
    vm = define("one", FIRST)
    virsh("start", vm)
    os.kill(int(Path("/run/libvirt/qemu/one.pid").read_text()), signal.SIGKILL)
    until(lambda: drivers(FIRST) == ["nvidia", "snd_hda_intel"], "the card is back")
    assert virsh("domstate", vm) == "shut off"


def test_fifty_starts_and_stops_lose_nothing() -> None:
    since = len(cards.events())
    vms = [define("one", FIRST), define("two", FIRST)]
    for turn in range(50):
        virsh("start", vms[turn % 2])
        assert drivers(FIRST) == ["vfio-pci", "vfio-pci"], turn
        virsh("destroy", vms[turn % 2])
        assert drivers(FIRST) == ["nvidia", "snd_hda_intel"], turn
    counted = Counter(cards.events()[since:])
    for function, driver in zip(FIRST, ("nvidia", "snd_hda_intel"), strict=True):
        for event in (f"vfio-pci {function}: in use", f"vfio-pci {function}: free", f"{driver} {function}: bound"):
            assert counted[event] == 50
    assert sum(counted.values()) == 50 * 2 * 6
    assert [each.name for each in Path("/dev/vfio").iterdir()] == ["vfio"]


def test_what_libvirt_says_of_the_cards() -> None:
    names = virsh("nodedev-list", "--cap", "pci").split()
    assert {"pci_0000_41_00_0", "pci_0000_41_00_1", "pci_0000_61_00_0"} <= set(names)
    xml = virsh("nodedev-dumpxml", "pci_0000_41_00_0")
    assert "<iommuGroup number='41'>" in xml
    assert "<vendor id='0x10de'>" in xml
    assert "<pci-express>" in xml
    virsh("nodedev-detach", "pci_0000_41_00_0")
    assert drivers(FIRST) == ["vfio-pci", "snd_hda_intel"]
    virsh("nodedev-reattach", "pci_0000_41_00_0")
    assert drivers(FIRST) == ["nvidia", "snd_hda_intel"]


# ---- what goes wrong -------------------------------------------------------------------------------------------------


def test_a_card_that_does_not_come_back_has_no_driver_until_it_is_probed_again() -> None:
    vm = define("one", FIRST)
    virsh("start", vm)
    with cards.fault(Fault(address=FIRST[0], effect="does-not-bind", driver="nvidia")):
        virsh("destroy", vm)
        assert drivers(FIRST) == [None, "snd_hda_intel"]
        (SYSFS / "drivers_probe").write_text(FIRST[0])
        assert driver_of(FIRST[0]) is None
    (SYSFS / "drivers_probe").write_text(FIRST[0])
    assert driver_of(FIRST[0]) == "nvidia"


def test_a_card_that_vfio_does_not_get_is_skipped_in_silence_and_refused_by_qemu() -> None:
    vm = define("one", FIRST)
    with cards.fault(Fault(address=FIRST[0], effect="does-not-bind", driver="vfio-pci")):
        assert "vfio 0000:41:00.0" in refusal("start", vm)
    assert drivers(FIRST) == ["nvidia", "snd_hda_intel"]
    virsh("start", vm)


def test_a_card_that_is_gone_is_not_found_and_comes_back_by_a_rescan() -> None:
    vm = define("one", FIRST)
    with cards.fault(Fault(address=FIRST[0], effect="gone")):
        assert not (SYSFS / "devices" / FIRST[0]).exists()
        # Debian's libvirt 9.0 passes over what is not there, and then fails without a word about it.
        assert "Failed to start domain 'one'" in refusal("start", vm)
        assert drivers(FIRST) == [None, "snd_hda_intel"]
        cards.rescan()
        assert not (SYSFS / "devices" / FIRST[0]).exists()
    cards.rescan()
    assert drivers(FIRST) == ["nvidia", "snd_hda_intel"]
    virsh("start", vm)


def test_a_card_that_goes_while_a_vm_has_it_can_be_given_away_again_once_it_is_back() -> None:
    vm = define("one", FIRST)
    virsh("start", vm)
    with cards.fault(Fault(address=FIRST[0], effect="gone")):
        assert drivers(FIRST) == [None, "vfio-pci"]
        virsh("destroy", vm)
        assert drivers(FIRST) == [None, "snd_hda_intel"]
    cards.rescan()
    assert drivers(FIRST) == ["nvidia", "snd_hda_intel"]
    virsh("start", vm)
    assert drivers(FIRST) == ["vfio-pci", "vfio-pci"]


def test_a_card_is_not_plugged_into_a_running_vm() -> None:
    """Not played: QEMU itself would have to talk to VFIO. It is refused, and nothing is lost."""
    vm = define("one", ())
    virsh("start", vm)
    said = virsh("attach-device", vm, "/dev/stdin", "--live", check=False, stdin=hostdev_xml(FIRST[1]))
    assert said.startswith("error: Failed to attach device"), said
    assert drivers(FIRST) == ["nvidia", "snd_hda_intel"]
    virsh("start", define("two", FIRST))


def test_a_card_that_fell_off_the_bus_reads_as_ones() -> None:
    with cards.fault(Fault(address=FIRST[0], effect="dead")):
        assert "Unknown PCI header type '127' for device '0000:41:00.0'" in refusal("start", define("one", FIRST))
    assert drivers(FIRST) == ["nvidia", "snd_hda_intel"]


def test_a_group_without_file_is_refused_by_libvirt() -> None:
    with cards.fault(*(Fault(address=each, effect="no-vfio-group") for each in FIRST)):
        said = refusal("start", define("one", FIRST))
    assert "/dev/vfio/41: No such file or directory" in said
    assert drivers(FIRST) == ["nvidia", "snd_hda_intel"]


def test_a_driver_that_does_not_let_go_holds_the_start_up_until_it_does() -> None:
    vm = define("one", FIRST)
    start = threading.Thread(target=virsh, args=("start", vm))
    with cards.fault(Fault(address=FIRST[0], effect="does-not-unbind", driver="nvidia")):
        start.start()
        # libvirt has named the driver that it wants, and now waits for the other to let go. Whoever asks libvirt for
        # this VM, or for a list of all, waits as well.
        until(lambda: override(FIRST[0]) == "vfio-pci", "libvirt begins")
        assert drivers(FIRST) == ["nvidia", "snd_hda_intel"]
    start.join(60)
    assert drivers(FIRST) == ["vfio-pci", "vfio-pci"]
    assert virsh("domstate", vm) == "running"


# ---- the kernel itself -----------------------------------------------------------------------------------------------


def override(address: str) -> str:
    return (SYSFS / "devices" / address / "driver_override").read_text().strip()


def write(path: str, text: str) -> int:
    """Write to an attribute; return 0, or the errno of the refusal."""
    try:
        (SYSFS / path).write_text(text)
    except OSError as error:
        return error.errno or -1
    return 0


def test_drivers_are_changed_by_hand_as_the_kernel_does_it() -> None:
    device = f"devices/{FIRST[0]}"
    assert write(f"{device}/driver_override", "vfio-pci\n") == 0
    assert driver_of(FIRST[0]) == "nvidia"
    assert write("drivers/nvidia/unbind", SECOND[1]) == errno.ENODEV
    assert write("drivers/nvidia/bind", FIRST[0]) == errno.EBUSY
    assert write(f"{device}/driver/unbind", f"{FIRST[0]}\n") == 0
    assert driver_of(FIRST[0]) is None
    assert write("drivers/nvidia/bind", FIRST[0]) == errno.ENODEV
    assert write("drivers_probe", FIRST[0]) == 0
    assert driver_of(FIRST[0]) == "vfio-pci"
    assert Path("/dev/vfio/41").exists()
    assert write(f"{device}/driver_override", "\n") == 0
    assert override(FIRST[0]) == "(null)"
    assert write("drivers/vfio-pci/unbind", FIRST[0]) == 0
    assert write("drivers_probe", FIRST[0]) == 0
    assert driver_of(FIRST[0]) == "nvidia"
    assert write("drivers_probe", "0000:99:00.0") == errno.ENODEV


def test_a_group_that_a_vm_has_takes_no_second_user_and_no_driver_of_the_host() -> None:
    vm = define("one", FIRST[:1])
    for each in FIRST:
        virsh("nodedev-detach", "pci_" + re.sub("[:.]", "_", each))
    virsh("start", vm)
    with pytest.raises(OSError, match="busy"):
        Path("/dev/vfio/41").read_text()
    assert write("drivers/vfio-pci/unbind", FIRST[1]) == 0
    assert write(f"devices/{FIRST[1]}/driver_override", "\n") == 0
    assert write("drivers_probe", FIRST[1]) == errno.EBUSY
    virsh("destroy", vm)
    for each in FIRST:
        virsh("nodedev-reattach", "pci_" + re.sub("[:.]", "_", each))
    assert write("drivers_probe", FIRST[1]) == 0
    assert drivers(FIRST) == ["nvidia", "snd_hda_intel"]


def test_vfio_lets_go_of_a_function_when_the_vm_does() -> None:
    virsh("start", define("one", FIRST))
    unbinding = threading.Thread(target=write, args=("drivers/vfio-pci/unbind", FIRST[1]))
    unbinding.start()
    unbinding.join(0.5)
    assert drivers(FIRST) == ["vfio-pci", "vfio-pci"]
    virsh("destroy", "one")
    unbinding.join(60)
    assert not unbinding.is_alive()
    assert driver_of(FIRST[0]) == "nvidia"
    write("drivers_probe", FIRST[1])
    assert drivers(FIRST) == ["nvidia", "snd_hda_intel"]


def test_a_card_is_taken_off_the_bus_and_found_again() -> None:
    for each in FIRST:
        assert write(f"devices/{each}/remove", "1") == 0
    assert not Path("/sys/kernel/iommu_groups/41").exists()
    assert write("rescan", "1") == 0
    assert drivers(FIRST) == ["nvidia", "snd_hda_intel"]
