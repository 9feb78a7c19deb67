"""What a VM is made as, on a real libvirtd with real QEMU: sizes both ways, pinning, UEFI, huge pages, several cards.

And what is told of one that does not get as far as SSH: the end of its serial console. The guests are boot sectors.
"""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.hypervisor import daemons
from lab.hypervisor.cards import driver_of
from lab.workspace import ROOT
from tests.libvirt import guest, stage
from tests.libvirt.stage import Stage, machine, virsh

FIRST, SECOND = "0000:41:00.0", "0000:61:00.0"
PAGES = Path("/proc/sys/vm/nr_hugepages")
MOUNT = Path("/run/hugepages")
"""libvirtd looks for such a mount when it starts; /run is the hypervisor's own."""
CARDS = [{"address": gpu, "siblings": "auto"} for gpu in (FIRST, SECOND)]
OVMF = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
SMALL = {"memory": "128MiB", "disk": "5GiB"}


def as_qcow2(raw: Path) -> Path:
    made = raw.with_suffix(".qcow2")
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, made], check=True)
    return made


@pytest.fixture
def shapes(tmp_path: Path) -> Iterator[Stage]:
    """A stack whose VMs power off when they are told to; afterwards nothing of it is left."""
    made = stage.make(tmp_path / "lab", "shapes", real=stage.QUICK)
    stage.place_image(made, as_qcow2(guest.write_disk(tmp_path / "guest.img")))
    yield made
    made.done("destroy")
    assert stage.everything() == stage.NOTHING


def xml_of(vm: str) -> ET.Element:
    return ET.fromstring(virsh("dumpxml", vm))


@contextmanager
def huge_pages(count: int) -> Iterator[None]:
    """Reserve huge pages of 2 MiB on this machine, and let libvirt know of them; skip where it has no room."""
    before = PAGES.read_text()
    PAGES.write_text(str(int(before) + count))
    try:
        if int(PAGES.read_text()) < int(before) + count:
            pytest.skip(f"this machine has no room for {count} huge pages in a row")
        MOUNT.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "hugetlbfs", "hugetlbfs", MOUNT], check=True)
        daemons.stop()
        daemons.start()
        yield
    finally:
        subprocess.run(["umount", "-l", MOUNT], check=False)
        PAGES.write_text(before)


def test_sizes_go_up_and_down_and_a_pin_is_set_and_taken_back(shapes: Stage) -> None:
    (control,) = shapes.document["machines"]
    control.update(SMALL, cores=2, cpu_pinning="0,1")
    shapes.done("up")
    before = virsh("domuuid", "control-1")
    pins = [(each.get("vcpu"), each.get("cpuset")) for each in xml_of("control-1").findall("cputune/vcpupin")]
    assert pins == [("0", "0"), ("1", "1")]
    control.update(cores=1, memory="96MiB")
    del control["cpu_pinning"]
    shapes.done("up")
    found = xml_of("control-1")
    assert (found.findtext("vcpu"), found.findtext("memory")) == ("1", str(96 * 1024))
    # libvirt 9 writes a pin that was taken back as one to all of the host's CPUs.
    free = f"0-{(os.cpu_count() or 1) - 1}"
    assert {each.get("cpuset") for each in found.findall("cputune/vcpupin")} <= {free}
    assert (virsh("domuuid", "control-1"), virsh("domstate", "control-1")) == (before, "running")
    assert shapes.done("preview").summary.changed == 0  # type: ignore[union-attr]


@pytest.mark.skipif(not OVMF.exists(), reason="no UEFI firmware: apt-get install ovmf")
def test_uefi_several_cards_and_huge_pages(shapes: Stage) -> None:
    gpu: dict[str, Any] = machine("gpu-1", "192.168.200.31", gpus=CARDS, firmware="uefi", hugepages="2MiB", **SMALL)
    shapes.document["machines"].append(gpu)
    with huge_pages(80):
        shapes.done("up")
        found = xml_of("gpu-1")
        assert OVMF.name in (found.findtext("os/loader") or "")
        assert found.find("memoryBacking/hugepages/page") is not None
        assert int(Path("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages").read_text()) < 80
        hostdevs = found.findall("devices/hostdev")
        # Each card on a port of its own, its functions in one slot there, and the GPU first.
        places = [
            tuple(int((each.find("address").get(key) or "0"), 16) for key in ("bus", "slot", "function"))  # type: ignore[union-attr]
            for each in hostdevs
        ]
        assert places == [(1, 0, 0), (1, 0, 1), (2, 0, 0), (2, 0, 1)]
        window = found.find("devices/controller[@model='pcie-root']/pcihole64")
        assert window is not None
        assert int(window.text or "0") == 256 * 1024 * 1024  # KiB: 128 GiB for each of two cards
        assert {driver_of(each) for each in (FIRST, SECOND)} == {"vfio-pci"}
        assert shapes.done("preview").summary.changed == 0  # type: ignore[union-attr]
        shapes.document["machines"].remove(gpu)
        shapes.done("up")
    assert {driver_of(each) for each in (FIRST, SECOND)} == {"nvidia"}


def test_a_vm_that_never_answers_is_told_of_with_the_end_of_its_console(shapes: Stage, tmp_path: Path) -> None:
    words = "".join(f"[{n:5}.0] line {n}\r\n" for n in range(20)) + "Kernel panic: no root\r\n"
    stage.place_image(shapes, as_qcow2(guest.write_speaking_disk(tmp_path / "speaks.img", words)))
    shapes.done("up")
    ready = next(each for each in shapes.export() if each["urn"].endswith("::control-1-ready"))
    environment = {**os.environ, **ready["inputs"]["environment"], "READY_TIMEOUT": "5"}
    command = [sys.executable, "-m", "components.scripts.wait_ready"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith("control-1: no SSH at 192.168.200.11 after 5 s (")
    told = done.stderr.splitlines()
    assert "state of control-1: running" in told
    assert "  | end of its console (console-control-1.log in pool shapes):" in told
    assert told[-1] == "  | Kernel panic: no root"
    assert "  | [   19.0] line 19" in told
    assert "  | [    0.0] line 0" not in told  # 20 lines are shown
