"""A flip and the real engine: while the other cluster has the GPU no update goes through, afterwards none is needed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.flip.journal import JournalFile
from cluster.leases import LeaseFile
from lab.hypervisor.cards import driver_of, vm_xml
from lab.hypervisor.needs import MARK
from tests.libvirt import guest, stage
from tests.libvirt.stage import Stage, machine, virsh

GPU, SOUND = "0000:41:00.0", "0000:41:00.1"

pytestmark = [
    pytest.mark.xdist_group("hypervisor"),
    pytest.mark.skipif(
        not Path(os.environ.get(MARK, "/nowhere"), "kernel").exists(),
        reason="needs cards: --cards lab/hosts/workstation.yaml",
    ),
]


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Stage]:
    """A stack whose GPU worker shares its card with an HPC VM that is off; every disk holds the smallest guest."""
    gpus = [{"address": GPU, "siblings": "auto"}]
    machines = [
        machine("control-1", "192.168.200.11"),
        machine("gpu-1", "192.168.200.21", gpus=gpus),
    ]
    hpc = {"shares_gpus": True, "driver": "nvidia"}
    made = stage.make(tmp_path / "lab", "flipped", real=stage.QUICK, machines=machines, hpc=hpc)
    raw, disk = guest.write_disk(tmp_path / "guest.img"), tmp_path / "guest.qcow2"
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, disk], check=True)
    stage.place_image(made, disk)
    devices = f"<features><acpi/></features><devices>{guest.disk_xml(raw)}"
    xml = vm_xml("hpc-gpu-1", (GPU, SOUND), memory_mib=32).replace("<devices>", devices)
    (tmp_path / "hpc.xml").write_text(xml)
    virsh("define", str(tmp_path / "hpc.xml"))
    yield made
    virsh("destroy", "hpc-gpu-1", check=False)
    virsh("undefine", "hpc-gpu-1")
    if made.export():
        made.cloudctl("recover", "--stack", made.place.stack, "--strays", "--yes")
        made.done("destroy")
    assert stage.everything() == stage.NOTHING


def flip(shared: Stage, target: str) -> None:
    done = shared.cloudctl("flip", target, "--stack", "flipped", "--yes", "--timeout", "120", "--without-drain")
    assert done.returncode == 0, done.stdout + done.stderr


def autostarts(name: str) -> bool:
    return name in virsh("list", "--all", "--autostart", "--name").split()


def test_updates_before_while_and_after_the_other_cluster_has_the_gpu(shared: Stage) -> None:
    shared.done("up")
    made = virsh("domuuid", "gpu-1")
    assert (virsh("domstate", "gpu-1"), driver_of(GPU), autostarts("gpu-1")) == ("running", "vfio-pci", True)

    flip(shared, "train")
    assert (virsh("domstate", "gpu-1"), virsh("domstate", "hpc-gpu-1")) == ("shut off", "running")
    assert not autostarts("gpu-1")
    for words in (("preview",), ("up",), ("up", "--skip-preview")):
        assert "cloudctl flip serve" in shared.refused(*words)
    start = shared.cloudctl("start", "--stack", "flipped", "--yes")
    assert start.returncode == 1
    assert "cloudctl flip serve" in start.stderr
    shared.done("refresh", "--skip-preview")
    assert (virsh("domstate", "gpu-1"), virsh("domstate", "hpc-gpu-1")) == ("shut off", "running")

    flip(shared, "serve")
    assert autostarts("gpu-1")
    number = virsh("domid", "gpu-1")
    shared.done("up")
    assert virsh("domuuid", "gpu-1") == made
    assert virsh("domid", "gpu-1") == number  # neither made anew nor started again
    assert autostarts("gpu-1")
    assert virsh("domstate", "hpc-gpu-1") == "shut off"
    assert "unchanged" in shared.outcomes[-1].log.read_text()

    journal = JournalFile(shared.run_dir / "flip.json")
    through = journal.load()
    assert through is not None
    journal.save(through.model_copy(update={"open": True}))
    assert "a flip to serve was begun" in shared.refused("up", "--skip-preview")
    journal.save(through)

    flip(shared, "train")
    shared.done("destroy")
    assert (virsh("list", "--all", "--name"), virsh("domstate", "hpc-gpu-1")) == ("hpc-gpu-1", "running")
    leases = LeaseFile(shared.document["state"]).all()
    assert [lease.holder for lease in leases] == [("hpc", "hpc-gpu-1")]
