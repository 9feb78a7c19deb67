"""Faults on a real libvirtd: each gives one clear error with a remedy, loses nothing, and the next up goes on.

The VMs here have an empty disk: they are made and started, and nobody waits for a system in them.
"""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster.leases import LeaseFile
from lab.hypervisor import cards, daemons
from tests.libvirt import overtaking, stage
from tests.libvirt.stage import Stage, machine, virsh

GPU = "0000:41:00.0"
FOREIGN = """\
<domain type='qemu'><name>control-1</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type></os></domain>
"""


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Stage]:
    """A stack of one VM with an empty disk, not up yet; afterwards nothing of it is left."""
    made = stage.make(tmp_path / "lab", "faults", real=stage.QUICK)
    disk = tmp_path / "empty.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "1G"], check=True)
    stage.place_image(made, disk)
    yield made
    if made.export():
        made.cloudctl("recover", "--stack", made.place.stack, "--strays", "--yes")
        made.done("destroy")
    assert stage.everything() == stage.NOTHING


@pytest.fixture
def bystander(tmp_path: Path) -> Iterator[str]:
    """A VM of somebody else's that runs."""
    (tmp_path / "bystander.xml").write_text(cards.vm_xml("bystander"))
    virsh("define", str(tmp_path / "bystander.xml"))
    virsh("start", "bystander")
    yield "bystander"
    virsh("destroy", "bystander")
    virsh("undefine", "bystander")


def test_a_vm_of_the_same_name_made_by_someone_else_is_never_touched(empty: Stage, tmp_path: Path) -> None:
    (tmp_path / "vm.xml").write_text(FOREIGN)
    virsh("define", str(tmp_path / "vm.xml"))
    before = virsh("dumpxml", "control-1")
    try:
        for words in (("preview",), ("up",)):
            text = empty.refused(*words)
            assert "vm control-1 is already defined on host here (shut-off, owner not known)" in text
            assert "choose another machines[].name" in text
        assert virsh("dumpxml", "control-1") == before
        assert empty.export() == [] or [each["type"] for each in empty.export()] == ["pulumi:pulumi:Stack"]
    finally:
        virsh("undefine", "control-1")
    empty.done("up")


def test_an_image_that_is_not_there_or_broken_is_named(empty: Stage, tmp_path: Path) -> None:
    broken = tmp_path / "broken.qcow2"
    broken.write_bytes(b"this is no disk image" * 1000)
    for url, reason in ((tmp_path / "nowhere.qcow2", "nowhere.qcow2"), (broken, "broken.qcow2")):
        empty.document["images"] |= {"url": str(url)}
        text = empty.refused("up")
        assert reason in text
        assert "images.url" in text
        assert virsh("list", "--all", "--name") == ""
    del empty.document["images"]["url"]
    empty.done("up")


def test_a_machine_without_xsltproc_is_told_before_anything_changes(empty: Stage, tmp_path: Path) -> None:
    with covered("/usr/bin/xsltproc", tmp_path):
        text = empty.refused("up")
    assert "xsltproc" in text
    assert "install" in text
    assert stage.everything() == stage.NOTHING
    empty.done("up")


def test_a_wrong_uri_is_one_error(empty: Stage) -> None:
    right = empty.document["hosts"][0]["uri"]
    empty.document["hosts"][0]["uri"] = "qemu+unix:///system?socket=/nowhere/libvirt-sock"
    text = empty.refused("preview")
    assert "/nowhere/libvirt-sock" in text
    assert "plan refused: libvirt of host here cannot be asked" in text  # and not "plan refused, 2 reasons"
    empty.document["hosts"][0]["uri"] = right
    empty.done("preview")


def test_an_address_that_answers_already_is_refused(empty: Stage) -> None:
    empty.done("up")
    bridge = virsh("net-info", "faults").partition("Bridge:")[2].strip()
    subprocess.run(["ip", "address", "add", "192.168.200.55/32", "dev", bridge], check=True)
    empty.document["machines"].append(machine("worker-1", "192.168.200.55"))
    text = empty.refused("preview")
    assert "192.168.200.55" in text
    assert "answers" in text
    subprocess.run(["ip", "address", "delete", "192.168.200.55/32", "dev", bridge], check=True)
    empty.done("preview")


def test_another_mtu_of_a_network_that_stands_is_refused(empty: Stage) -> None:
    empty.document["network"]["mtu"] = 1400
    empty.done("up")
    assert "<mtu size='1400'/>" in virsh("net-dumpxml", "faults")
    empty.done("preview")
    empty.document["network"]["mtu"] = 1500
    assert "network.mtu is 1500, and libvirt network faults of host here was made with 1400" in empty.refused("preview")


def test_a_pool_that_fills_up_while_it_is_used(empty: Stage, tmp_path: Path) -> None:
    mount = Path("/var/lib/libvirt/small")
    with small_disk(tmp_path, mount):
        empty.document["hosts"][0]["pool"]["path"] = str(mount / "pool")
        disk = tmp_path / "large.qcow2"
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", "-o", "preallocation=full", disk, "200M"], check=True
        )
        stage.place_image(empty, disk)
        hog = mount / "hog"
        with when(Path("/etc/libvirt/storage/faults.xml").exists, lambda: fill(mount, hog)):
            text = empty.refused("up", "--skip-preview")
        assert "No space left on device" in text
        said = empty.cloudctl("explain", str(empty.outcomes[-1].log))
        assert "pool" in said.stdout
        assert "plan refused" in empty.refused("up")  # known beforehand from now on
        hog.unlink()
        empty.goes_on()
        empty.done("destroy")


def test_a_vm_that_does_not_start_gives_its_gpu_back(empty: Stage, tmp_path: Path) -> None:
    empty.document["machines"].append(machine("gpu-1", "192.168.200.31", gpus=[{"address": GPU, "siblings": "auto"}]))
    leases = LeaseFile(empty.document["state"])
    stubborn = cards.Fault(address=GPU, effect="does-not-bind", driver="vfio-pci")
    with cards.fault(stubborn):
        empty.refused("up")
        assert virsh("domstate", "gpu-1") == "shut off"  # defined, and forgotten by the provider
        assert "gpu-1 on host here is defined and off" in empty.cloudctl("gpus", "--stack", "faults").stdout
        disk = virsh("vol-path", "gpu-1-root.qcow2", "--pool", "faults")
        failed = empty.cloudctl("up", "--stack", "faults", "--yes")
        assert failed.returncode == 1
        assert "taken up: gpu-1 at qemu:///system was defined and could not start: undefined" in failed.stderr
        assert "it is undefined again, its disk is kept and its GPUs are free" in failed.stderr
        assert virsh("list", "--all", "--name").split() == ["control-1"]
        assert leases.all() == ()
        assert Path(disk).exists()
        assert f"free: {GPU} on here" in empty.cloudctl("gpus", "--stack", "faults").stdout
        empty.refused("up")
    empty.done("up")  # goes on with the VM that is defined
    assert cards.driver_of(GPU) == "vfio-pci"


def test_data_that_is_earlier_than_the_reply_to_the_call(empty: Stage, tmp_path: Path) -> None:
    """Of a cloud-init disk that is read back: with go-libvirt as it is published, the update never ends."""
    empty.document["hosts"][0]["uri"] = f"qemu+unix:///system?socket={tmp_path / 'way'}"
    empty.limit_s = 240
    with overtaking.way(tmp_path / "way") as overtaken:
        empty.done("up")
        assert empty.done("preview", "--refresh").summary.changed == 0  # type: ignore[union-attr]
        empty.done("destroy")
    assert overtaken.times >= 2


@pytest.mark.parametrize("moment", ["storage/faults.xml", "qemu/control-1.xml"])
def test_libvirtd_dies_while_things_are_made(empty: Stage, moment: str, bystander: str) -> None:
    before = virsh("domid", bystander)
    with when((Path("/etc/libvirt") / moment).exists, lambda: daemons.stop(kill=True)):
        text = empty.refused("up")
    assert daemons.pid_of("libvirtd") is None, text
    said = empty.cloudctl("explain", str(empty.outcomes[-1].log)).stdout
    assert "libvirt, or the way to it, went away in the middle of the work; what was begun may be there" in said
    assert "sudo systemctl restart libvirtd; VMs run on" in said
    daemons.start()
    assert (virsh("domstate", bystander), virsh("domid", bystander)) == ("running", before)
    left = empty.cloudctl("up", "--stack", empty.place.stack, "--yes")
    while left.returncode and does_what_is_said(left.stdout + left.stderr):
        left = empty.cloudctl("up", "--stack", empty.place.stack, "--yes")
    assert left.returncode == 0, (left.stdout + left.stderr)[-6000:]
    assert "an earlier run was cut off or failed; taken up: " in left.stderr
    assert virsh("domstate", bystander) == "running"
    outcome = empty.done("up")
    assert outcome.summary is not None
    assert outcome.summary.changed == 0


def test_libvirtd_dies_just_before_qemu_has_a_process(empty: Stage) -> None:
    empty.done("up")
    record = Path("/run/libvirt/qemu/control-1.xml")
    started = record.read_text()
    virsh("destroy", "control-1")
    daemons.stop(kill=True)
    record.write_text(as_before_qemu(started))  # what libvirt 9.0 leaves when it is killed in that moment
    daemons.start()
    assert virsh("domstate", "control-1", "--reason") == "paused (starting up)"
    refused = empty.cloudctl("up", "--stack", "faults", "--yes")
    assert refused.returncode == 1
    assert "control-1 at qemu:///system is being started, says libvirt" in refused.stderr
    assert does_what_is_said(refused.stderr)
    virsh("start", "control-1")  # libvirt lets go of it
    empty.goes_on()


def as_before_qemu(record: str) -> str:
    """Return libvirt's record of a VM that runs as it is before QEMU has a process."""
    record, found = re.subn(
        r"<domstatus state='running' reason='booted' pid='\d+'>",
        "<domstatus state='paused' reason='starting up' pid='0'>",
        record,
    )
    assert found == 1
    job = "<job type='none' async='start' flags='0x0' asyncStarted='1795945692181'/>"
    return re.sub(r"<job\b[^>]*/>", "", record).replace("</domstatus>", f"{job}</domstatus>")


def does_what_is_said(text: str) -> bool:
    """Do what the host's administrator is told to do, if anything; here there is no systemd, and everyone is root."""
    if "File exists" in text:  # the bridge that libvirt's crash has left in the kernel
        assert "ip link delete virbr0" in text
        subprocess.run(["ip", "link", "delete", "virbr0"], check=True)
        return True
    if "sudo rm /run/libvirt/qemu/control-1.xml && sudo systemctl restart libvirtd" in text:
        assert "guest=control-1" not in subprocess.run(["ps", "axww"], capture_output=True, text=True).stdout
        Path("/run/libvirt/qemu/control-1.xml").unlink()
        daemons.stop()
        daemons.start()
        return True
    return False


@contextmanager
def covered(path: str, folder: Path) -> Iterator[None]:
    """Hide a program behind a file that cannot be run; only this hypervisor sees it so."""
    cover = folder / "cover"
    cover.touch(mode=0o644)
    subprocess.run(["mount", "--bind", str(cover), path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)


@contextmanager
def small_disk(folder: Path, mount: Path) -> Iterator[None]:
    """Mount a file system of 8 GiB that takes hardly any room itself."""
    disk = folder / "small.ext4"
    with disk.open("wb") as file:
        file.truncate(8 * 2**30)
    # -m 0: nothing is kept back for root, as which libvirt writes here.
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", disk], check=True)
    mount.mkdir(parents=True)
    subprocess.run(["mount", "-o", "loop", disk, mount], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", mount], check=True)
        mount.rmdir()


def fill(mount: Path, hog: Path) -> None:
    """Leave 20 MiB on a file system."""
    free = int(subprocess.run(["df", "--output=avail", "-B1", mount], capture_output=True, text=True).stdout.split()[1])
    subprocess.run(["fallocate", "-l", str(free - 20 * 2**20), hog], check=True)


@contextmanager
def when(condition: Callable[[], bool], act: Callable[[], None]) -> Iterator[None]:
    """Do something as soon as a condition holds while the block runs; the block fails if it never held."""
    over = threading.Event()
    acted: list[bool] = []

    def watch() -> None:
        while not over.is_set():
            if condition():
                act()
                acted.append(True)
                return
            time.sleep(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    assert acted, "the moment never came"
