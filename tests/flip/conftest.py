"""A project whose stack shares two GPUs, with stand-ins for virsh, kubectl and the other cluster's commands on PATH."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from cloudctl.app import app
from cloudctl.virsh import Virsh
from cluster.host.model import HostFacts
from cluster.leases import LeaseFile
from cluster.settings.model import Host
from tests.flip import standin, worlds
from tests.flip.standin import Data, RefusalError, Standin
from tests.flip.worlds import OWNER

A, B = worlds.card(0x41), worlds.card(0x61)
HOST = "ws"


def machine(name: str, role: str, last: int, *gpus: str) -> dict[str, Any]:
    """Return a machine of the settings."""
    return {
        "name": name,
        "role": role,
        "cores": 8,
        "memory": "64GiB",
        "disk": "300GiB",
        "address": f"192.168.200.{last}",
        "gpus": [{"address": gpu, "siblings": "auto"} for gpu in gpus],
    }


class FlipProject:
    """A stack ``prod`` on the host ``ws``: gpu-1, gpu-2 of the cloud share a card each with hpc-1, hpc-2."""

    def __init__(self, folder: Path, cards: Sequence[str] = (A, B)) -> None:
        self.folder = folder
        self.cards = dict(enumerate(cards, 1))
        self.hosts = [HOST]
        (folder / "Pulumi.yaml").write_text("name: inference-cloud\nruntime: python\n")
        self.machines = [
            machine("control-1", "control-plane", 11),
            *(machine(f"gpu-{number}", "gpu-worker", 20 + number, card) for number, card in self.cards.items()),
        ]
        self.settings()
        self.data = self.serving()
        self.path = standin.install(folder, self.data)
        self.kubeconfig = folder / ".cloud" / "prod" / "kubeconfig"
        self.kubeconfig.parent.mkdir(parents=True)
        self.kubeconfig.write_text("")
        self.journal = folder / ".cloud" / "prod" / "flip.json"
        self.leases = LeaseFile(folder / "state.json")
        self.lease_all()

    def settings(self, models: int = 1, **hpc: Any) -> None:
        """Write the stack's settings."""
        raw = worlds.raw_settings(self.hosts, self.machines, models, hpc)
        raw["state"] = str(self.folder / "state.json")
        config = {f"inference-cloud:{key}": value for key, value in raw.items()}
        (self.folder / "Pulumi.prod.yaml").write_text(yaml.safe_dump({"config": config}))

    def serving(self) -> Data:
        """Return the world in which the cloud runs on the cards."""
        cloud = {f"gpu-{number}": worlds.vm(OWNER, [card], autostart=True) for number, card in self.cards.items()}
        hpc = {f"hpc-{number}": worlds.vm(None, [card]) for number, card in self.cards.items()}
        data: Data = {
            "hosts": {
                worlds.uri(HOST): {
                    "devices": worlds.devices([*self.cards.values(), worlds.card(0x81)]),
                    "vms": {
                        "control-1": worlds.vm(OWNER, [], autostart=True),
                        **cloud,
                        **hpc,
                        "stranger": worlds.vm("cloud/other", [worlds.card(0x81)], autostart=True),
                    },
                }
            },
            "cluster": {
                "nodes": {name: {"cordoned": False, "gpu": name != "control-1"} for name in ("control-1", *cloud)},
                "services": {"model-0": {"stopped": False, "on": None, "pod": True}},
            },
            "log": [],
        }
        worlds.start_running(data, ["control-1", *cloud, "stranger"])
        Standin(data)._schedule()
        return data

    def lease_all(self) -> None:
        """Let the cloud have the leases, and forget any flip."""
        self.journal.unlink(missing_ok=True)
        self.leases.path.unlink(missing_ok=True)
        for number, card in self.cards.items():
            self.leases.take(HOST, card, OWNER, f"gpu-{number}")

    @property
    def world(self) -> Data:
        """The world as it is now."""
        return json.loads((self.folder / "world.json").read_text())  # type: ignore[no-any-return]

    @world.setter
    def world(self, data: Data) -> None:
        (self.folder / "world.json").write_text(json.dumps(data))

    def vms(self) -> Data:
        """Return the host's VMs."""
        return self.world["hosts"][worlds.uri(HOST)]["vms"]  # type: ignore[no-any-return]

    def on(self) -> set[str]:
        """Return the names of the VMs that are not off."""
        return {name for name, vm in self.vms().items() if vm["state"] != "shut off"}

    def log(self) -> list[str]:
        """Return what was asked of the stand-ins that changes something."""
        return [" ".join(words) for words in self.world["log"]]

    def holders(self) -> dict[str, tuple[str, str]]:
        """Return the leases: card -> (owner, VM)."""
        return {lease.gpu: lease.holder for lease in self.leases.all()}

    def change(self, vm: str, **more: Any) -> None:
        """Change a VM of the world."""
        data = self.world
        data["hosts"][worlds.uri(HOST)]["vms"][vm].update(more)
        self.world = data


@pytest.fixture
def told(project: FlipProject, monkeypatch: pytest.MonkeyPatch) -> FlipProject:
    """The project, its facts told by the world itself: the probe's many small questions take most of a test's time."""

    def collect(host: Host) -> HostFacts:
        return worlds.facts_of(host.name, project.world["hosts"][host.uri])

    monkeypatch.setattr("cloudctl.flipping.world.collect", collect)
    return project


@pytest.fixture
def near(told: FlipProject, monkeypatch: pytest.MonkeyPatch) -> FlipProject:
    """The project, its stand-ins called in this process in place of programs on PATH."""
    real, which = subprocess.run, shutil.which

    def run(command: Sequence[str], **more: Any) -> subprocess.CompletedProcess[str]:
        program, words = command[0], list(command[1:])
        if program not in ("virsh", "kubectl", "hpc") or not which(program):
            return real(command, **more)
        world = Standin(told.world)
        try:
            answer, complaint = getattr(world, program)(words), ""
        except RefusalError as error:
            answer, complaint = "", str(error)
        told.world = world.data
        return subprocess.CompletedProcess(command, 1 if complaint else 0, answer, complaint)

    def virsh(_: Virsh, uri: str, *words: str) -> subprocess.CompletedProcess[str]:
        return run(["virsh", "-q", "-c", uri, *words])

    monkeypatch.setattr("cloudctl.flipping.outside.subprocess.run", run)
    monkeypatch.setattr(Virsh, "_run", virsh)
    return told


@pytest.fixture
def cards() -> Sequence[str]:
    """The cards of the project."""
    return A, B


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cards: Sequence[str]) -> FlipProject:
    folder = tmp_path / "project"
    folder.mkdir()
    made = FlipProject(folder, cards)
    for name in ("PULUMI_STACK", "CLOUD_STACK", "CLOUD_CONFIG_FILE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", f"{made.path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.chdir(folder)
    return made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time that passes only while a flip waits; holds the seconds that were waited for."""
    waited: list[float] = []
    monkeypatch.setattr("cloudctl.flipping.world.RealWorld.sleep", lambda _, seconds: waited.append(seconds))
    monkeypatch.setattr("cloudctl.flipping.world.RealWorld.time", lambda _: sum(waited))
    return waited


@pytest.fixture
def cloudctl() -> Callable[..., Result]:
    """Runs cloudctl in this process."""

    def run(*words: str, input: str | None = None) -> Result:
        result = CliRunner().invoke(app, list(words), input=input)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        return result

    return run
