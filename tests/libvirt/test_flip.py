"""Fifty flips on a real libvirtd, with real VMs and libvirt's own passthrough, lose no device, no lease and no VM.

Real: libvirtd, QEMU in emulation, virsh, the hostdev manager, autostart, ``cloudctl flip`` with its journal and leases.
Stand-ins: the kernel below the cards (``lab.hypervisor.cards``), the guest (``guest.py``), and kubectl, since there is
no cluster here: its nodes are Ready while their VMs run.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from cloudctl.app import app
from cluster.leases import LeaseFile
from lab.hypervisor import cards, daemons
from lab.hypervisor.cards import Fault, driver_of, vm_xml
from lab.hypervisor.needs import MARK
from tests.flip import standin
from tests.flip.killed import run_until
from tests.libvirt import guest

URI = "qemu:///system"
HOST = "workstation"
OWNER = "cloud/prod"
FIRST, SECOND, THIRD = "0000:41:00.0", "0000:61:00.0", "0000:81:00.0"
HOME = {"0": "nvidia", "1": "snd_hda_intel"}
CLOUD = {"gpu-1": [FIRST, SECOND]}
HPC = {"hpc-gpu-1": [FIRST], "hpc-gpu-2": [SECOND]}
OTHERS = {"stranger": [THIRD], "hpc-controller": []}
FLIPS = 50

pytestmark = [
    pytest.mark.xdist_group("hypervisor"),
    pytest.mark.skipif(
        not Path(os.environ.get(MARK, "/nowhere"), "kernel").exists(),
        reason="needs cards: --cards lab/hosts/workstation.yaml",
    ),
]


def functions(cards: list[str]) -> list[str]:
    return [address[:-1] + function for address in cards for function in "01"]


def virsh(*words: str, stdin: str | None = None) -> str:
    done = subprocess.run(
        ["virsh", "-q", "-c", URI, *words],
        capture_output=True,
        text=True,
        input=stdin,
        env={**os.environ, "LC_ALL": "C"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Host:
    """The hypervisor with the VMs of both sides and of others, and a project that flips between them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.leases = LeaseFile(folder / "state.json")
        self.disk = guest.write_disk(folder / "guest.img")
        for name, mine in CLOUD.items():
            self._define(name, mine, OWNER, autostart=True)
        for name, mine in HPC.items():
            self._define(name, mine, None, autostart=False)
        for name, mine in OTHERS.items():
            self._define(name, mine, "cloud/other" if mine else None, autostart=True)
        self.vms = self.defined()
        self._project()
        for name in (*CLOUD, *OTHERS):
            virsh("start", name)
        for name, mine in CLOUD.items():
            for card in mine:
                self.leases.take(HOST, card, OWNER, name)

    def _define(self, name: str, mine: list[str], owner: str | None, *, autostart: bool) -> None:
        # Each has a disk of its own: QEMU locks a disk that it writes to.
        disk = self.folder / f"{name}.img"
        disk.write_bytes(self.disk.read_bytes())
        devices = f"<features><acpi/></features><devices>{guest.disk_xml(disk)}"
        xml = vm_xml(name, functions(mine), memory_mib=32).replace("<devices>", devices)
        mark = f"<metadata><o:owner xmlns:o='urn:inference-cloud:owner'>{owner}</o:owner></metadata>" if owner else ""
        virsh("define", "/dev/stdin", stdin=xml.replace("</name>", f"</name>{mark}"))
        if autostart:
            virsh("autostart", name)

    def _project(self) -> None:
        (self.folder / "Pulumi.yaml").write_text("name: inference-cloud\nruntime: python\n")
        sizes = {"cores": 8, "memory": "64GiB", "disk": "300GiB"}
        machines: list[dict[str, Any]] = [
            {"name": "control-1", "role": "control-plane", "address": "192.168.200.11", **sizes}
        ]
        for number, (name, mine) in enumerate(CLOUD.items()):
            gpus = [{"address": card, "siblings": "auto"} for card in mine]
            machine = {"name": name, "role": "gpu-worker", "address": f"192.168.200.{21 + number}", "gpus": gpus}
            machines.append({**machine, **sizes})
        sections = {
            "hosts": [{"name": HOST, "uri": URI, "emulation": True}],
            "machines": machines,
            "models": [{"name": "llama", "uri": "s3://models/llama", "version": "1", "gpus": 1}],
            "hpc": {"shares_gpus": True, "driver": "nvidia"},
            "state": str(self.leases.path),
        }
        config = {f"inference-cloud:{key}": value for key, value in sections.items()}
        (self.folder / "Pulumi.prod.yaml").write_text(yaml.safe_dump({"config": config}))
        cluster = {
            "libvirt": URI,
            "nodes": {name: {"cordoned": False, "gpu": True} for name in CLOUD},
            "services": {"llama": {"stopped": False, "on": None, "pod": True}},
        }
        self.programs = standin.install(self.folder, {"hosts": {}, "cluster": cluster, "log": []}, "kubectl")
        kubeconfig = self.folder / ".cloud" / "prod" / "kubeconfig"
        kubeconfig.parent.mkdir(parents=True)
        kubeconfig.write_text("")

    def defined(self) -> dict[str, str]:
        """Return name -> UUID of every VM."""
        return {name: virsh("domuuid", name) for name in virsh("list", "--all", "--name").split()}

    def flip(self, target: str, *more: str) -> Result:
        """Run ``cloudctl flip``."""
        return CliRunner().invoke(app, ["flip", target, "--stack", "prod", "--yes", "--timeout", "60", *more])

    def done(self, target: str) -> None:
        """Flip, and hold everything to what it must be."""
        result = self.flip(target)
        assert result.exit_code == 0, result.output
        self.check(target)

    def check(self, target: str) -> None:
        """No device, lease or VM is lost, and everything is where the target wants it."""
        on = HPC if target == "train" else CLOUD
        assert self.defined() == self.vms
        assert set(virsh("list", "--state-running", "--name").split()) == {*on, *OTHERS}
        owner = "hpc" if target == "train" else OWNER
        assert {lease.gpu: lease.holder for lease in self.leases.all()} == {
            card: (owner, name) for name, mine in on.items() for card in mine
        }
        assert {function: driver_of(function) for function in functions([FIRST, SECOND, THIRD])} == dict.fromkeys(
            functions([FIRST, SECOND, THIRD]), "vfio-pci"
        )
        autostart = set(virsh("list", "--all", "--autostart", "--name").split())
        assert autostart == {*OTHERS} | ({*CLOUD} if target == "serve" else set())
        cluster = json.loads((self.folder / "world.json").read_text())["cluster"]
        training = target == "train"
        assert [node["cordoned"] for node in cluster["nodes"].values()] == [training] * len(CLOUD)
        assert cluster["services"]["llama"]["stopped"] == training
        journal = json.loads((self.folder / ".cloud/prod/flip.json").read_text())
        assert (journal["open"], journal["target"], journal["begun"], journal["asked"]) == (False, target, [], [])
        status = CliRunner().invoke(app, ["flip", "status", "--stack", "prod", "--json"])
        assert (status.exit_code, json.loads(status.stdout)["mode"]) == (0, "training" if training else "serving")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    for name in ("PULUMI_STACK", "CLOUD_STACK", "CLOUD_CONFIG_FILE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    made = Host(tmp_path)
    monkeypatch.setenv("PATH", f"{made.programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    yield made
    daemons.start()
    for name in made.vms:
        subprocess.run(["virsh", "-q", "-c", URI, "destroy", name], capture_output=True)
        virsh("undefine", name)
    cards.rescan()


def test_fifty_flips_lose_nothing(host: Host) -> None:
    dice = random.Random(0)
    for number in range(FLIPS):
        target = ("train", "serve")[number % 2]
        if number % 5 == 3:
            killed(host, target, dice.randrange(25))
        if number % 10 == 7:
            without_libvirtd(host, target, dice.randrange(3, 25))
        host.done(target)


def killed(host: Host, target: str, place: int) -> None:
    """Kill a flip in the middle; now and then go back first."""
    status = run_until(place, "flip", target, "--stack", "prod", "--yes", "--timeout", "60")
    assert status == -signal.SIGKILL
    assert host.defined() == host.vms
    if place % 2:
        host.done("serve" if target == "train" else "train")


def without_libvirtd(host: Host, target: str, place: int) -> None:
    """Let libvirtd crash in the middle of a flip, and start it again; its VMs go on meanwhile."""
    status = run_until(place, "flip", target, "--stack", "prod", "--yes", "--timeout", "60", act=_crash)
    daemons.start()
    assert status in (0, 1, 3), status
    assert host.defined() == host.vms


def _crash() -> None:
    daemons.stop(kill=True)


def test_a_card_that_does_not_come_back_goes_to_nobody(host: Host) -> None:
    with cards.fault(Fault(address=FIRST, effect="does-not-bind", driver="nvidia")):
        result = host.flip("train", "--device-timeout", "3")
        assert result.exit_code == 1, result.output
        assert f"{FIRST} is bound to no driver, not to nvidia" in result.stderr
        assert set(virsh("list", "--state-running", "--name").split()) == {*OTHERS}
        assert {lease.owner for lease in host.leases.all()} == {OWNER}
        status = CliRunner().invoke(app, ["flip", "status", "--stack", "prod"])
        assert "it gave up: check that workstation has" in status.stdout
    Path("/sys/bus/pci/drivers_probe").write_text(FIRST)
    host.done("train")
    host.done("serve")


def test_a_guest_that_does_not_go_off_is_left_on_and_the_way_back_is_open(host: Host) -> None:
    virsh("suspend", "gpu-1")
    result = host.flip("train")
    assert result.exit_code == 1
    assert "gpu-1 on workstation is paused" in result.stderr
    virsh("resume", "gpu-1")
    host.done("train")
    host.done("serve")
