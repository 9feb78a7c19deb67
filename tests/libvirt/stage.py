"""A stack on the real libvirtd of the private hypervisor.

Real: the engine, the program, the policy pack, the libvirt plugin, libvirtd, QEMU (in emulation), xsltproc, and the
commands of this project's own that belong to VMs (leases, sizes, consoles, the wait for SSH). Stand-ins: the other
commands (Kubernetes' installers) and the Kubernetes provider, for there are no images or charts to be had here.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from cluster.built_images import image_file
from cluster.host.collect import collect
from cluster.host.model import HostFacts
from cluster.settings.load import from_file
from cluster.settings.model import NAMESPACE, Host
from components.images import base_digest
from lab.engine import Outcome, quiet, run
from lab.hypervisor import daemons
from lab.setup import initialise
from lab.workspace import ROOT, Workspace

URI = "qemu:///system"
NOTHING: Mapping[str, list[str]] = {"domains": [], "networks": [], "pools": []}
PLUGINS = ROOT / ".lab" / "toolchain" / "plugins"
REAL = (r"-lease-[0-9a-f-]+$", r"-size$", r"-console$", r"-ready$", r"^image-")
"""Command resources that are really run."""
QUICK = tuple(pattern for pattern in REAL if "ready" not in pattern)
"""The same without the wait for SSH: for VMs whose disk holds no system."""


@dataclass(frozen=True)
class RealWorkspace(Workspace):
    """A rehearsal whose libvirt plugin is the real one: it comes first on PATH."""

    def variables(self) -> dict[str, str]:
        """Return the rehearsal's variables with the folder of the real plugin in front."""
        found = super().variables()
        return found | {"PATH": f"{PLUGINS}{os.pathsep}{found['PATH']}"}


@dataclass
class Stage:
    """A stack file that a test may change between runs, and what runs on it."""

    place: RealWorkspace
    document: dict[str, Any]
    real: tuple[str, ...] = REAL
    outcomes: list[Outcome] = field(default_factory=list)
    limit_s: float = 1200

    def write(self) -> None:
        """Write the stack file; secrets and the key that ``cloudctl init`` made stay."""
        kept = yaml.safe_load(self.place.config_file.read_text()) if self.place.config_file.exists() else {}
        config = {f"{NAMESPACE}:{key}": value for key, value in self.document.items()}
        made = (kept or {}).get("config", {})
        config["pulumi:disable-default-providers"] = ["*"]
        if f"{NAMESPACE}:secrets" in made:
            config[f"{NAMESPACE}:secrets"] = made[f"{NAMESPACE}:secrets"]
            config[f"{NAMESPACE}:access"] = made[f"{NAMESPACE}:access"]
        text = {key: value for key, value in (kept or {}).items() if key != "config"} | {"config": config}
        self.place.config_file.write_text(yaml.safe_dump(text, sort_keys=False))
        played = {"hosts": {}, "pace": 0, "execute": list(self.real)}
        (self.place.dir / "lab.yaml").write_text(yaml.safe_dump(played))

    def run(self, verb: str, *extra: str) -> Outcome:
        """Run the engine, with the policy pack where it previews or updates."""
        self.write()
        # A plugin that hangs would take all other tests along: killed, it is this test's failure.
        limit = threading.Timer(self.limit_s, subprocess.run, (["pkill", "-KILL", "-f", "pulumi-resource-libvirt"],))
        limit.start()
        try:
            outcome = run(self.place, verb, *extra)
        finally:
            limit.cancel()
        self.outcomes.append(outcome)
        return outcome

    def done(self, verb: str, *extra: str) -> Outcome:
        """Run the engine and expect it to succeed."""
        outcome = self.run(verb, *extra)
        assert outcome.status == 0, outcome.log.read_text()[-6000:]
        return outcome

    def refused(self, verb: str = "preview", *extra: str) -> str:
        """Run the engine, expect it to fail, and return what it printed."""
        outcome = self.run(verb, *extra)
        text = outcome.log.read_text()
        assert outcome.status != 0, text[-6000:]
        return text

    def cloudctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run cloudctl on this stack."""
        command = [sys.executable, "-m", "cloudctl", *words]
        return subprocess.run(command, cwd=ROOT, env=self.place.environment(), capture_output=True, text=True)

    def goes_on(self) -> str:
        """Run the update as a person does after a failure, by ``cloudctl up`` alone, and return what it said."""
        self.write()
        done = self.cloudctl("up", "--stack", self.place.stack, "--yes")
        assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
        return done.stderr

    def export(self) -> list[dict[str, Any]]:
        """Return the resources of the engine's state."""
        exported = json.loads(quiet(self.place, "stack", "export", "--stack", self.place.stack))
        return list(exported["deployment"].get("resources") or [])

    def facts(self) -> HostFacts:
        """Return what the host says now."""
        return collect(Host.model_validate(self.document["hosts"][0]))

    @property
    def run_dir(self) -> Path:
        """The program's folder of this stack."""
        return ROOT / ".cloud" / self.place.stack

    def ssh(self, vm: str, *words: str) -> str:
        """Run a command in a VM with the stack's own key, and return what it printed."""
        machine = next(each for each in self.document["machines"] if each["name"] == vm)
        options = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=20"]
        options += ["-o", f"UserKnownHostsFile={self.run_dir / 'known_hosts'}"]
        key = self.place.dir / "ssh" / "id_ed25519"
        command = ["ssh", "-i", str(key), *options, f"cloud@{machine['address']}", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def make(home: Path, stack: str, *, real: tuple[str, ...] = REAL, **sections: Any) -> Stage:
    """Return a stage with an empty stack; ``sections`` replace those of ``document``."""
    place = RealWorkspace(stack, home)
    for folder in (place.dir, place.logs, place.home / "state", place.home / "home"):
        folder.mkdir(parents=True, exist_ok=True)
    passphrase = place.dir / "passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_text(secrets.token_urlsafe(24))
    (place.dir / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text())
    stage = Stage(place, document(place, **sections), real)
    shutil.rmtree(stage.run_dir, ignore_errors=True)
    stage.write()
    initialise(place)
    return stage


def place_image(stage: Stage, image: Path) -> None:
    """Lay a built image where the program would build it, which then finds that there is nothing to do."""
    settings = from_file(stage.place.config_file)
    target = image_file(settings, "base", base_digest(settings))
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(image, target)
    told = {"size_bytes": target.stat().st_size, "sha256": hashlib.sha256(target.read_bytes()).hexdigest(), "built": ""}
    target.with_suffix(".json").write_text(json.dumps(told, indent=2))


def document(place: Workspace, **sections: Any) -> dict[str, Any]:
    """Return settings of one small VM on this hypervisor."""
    made: dict[str, Any] = {
        "hosts": [host(place.stack)],
        "network": {"name": place.stack, "cidr": "192.168.200.0/24"},
        "access": {"ssh_private_key_file": str(place.dir / "ssh" / "id_ed25519")},
        "images": {
            "source": "debian-13",
            "gpu_worker": False,
            "size": "4GiB",
            "packer_accelerator": "tcg",
            "folder": str(place.dir / "images"),
        },
        "machines": [machine("control-1", "192.168.200.11")],
        "kubernetes": {"provisioner": "k3s"},
        # Played, but checked against the disks of the VMs.
        "object_store": {"size": "100MiB", "memory": "100MiB"},
        "database": {"size": "100MiB"},
        "monitoring": {"size": "100MiB"},
        "state": str(place.dir / "state.json"),
    }
    return made | sections


def host(stack: str, **more: Any) -> dict[str, Any]:
    """Return the settings of this hypervisor as a host that may be used up."""
    reserve = {"cores": 0, "memory": "1GiB", "disk": "1GiB"}
    pool = {"name": stack, "path": f"/var/lib/libvirt/{stack}"}
    given = {"name": "here", "uri": URI, "emulation": True, "vcpus_per_core": 8.0, "reserve": reserve, "pool": pool}
    return given | more


def machine(name: str, address: str, **more: Any) -> dict[str, Any]:
    """Return the settings of a small VM."""
    role = "gpu-worker" if more.get("gpus") else "control-plane" if name.startswith("control") else "worker"
    sizes = {"cores": 1, "memory": "768MiB", "disk": "5GiB"}
    return {"name": name, "role": role, "address": address, **sizes, **more}


def virsh(*words: str, check: bool = True) -> str:
    """Run virsh on this hypervisor and return what it printed."""
    done = subprocess.run(["virsh", "-q", "-c", URI, *words], capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout.strip()


def sweep() -> None:
    """Take by force what a failed test has left, so that the tests after it fail for reasons of their own only."""
    left = everything()
    if left == NOTHING:
        return
    daemons.stop(kill=True)
    for name in ("qemu-system-x86_64", "dnsmasq"):  # of this process namespace, which is the private hypervisor's
        subprocess.run(["pkill", "-KILL", "-f", name], check=False)
    bridges = subprocess.run(["ip", "-o", "link", "show", "type", "bridge"], capture_output=True, text=True)
    for line in bridges.stdout.splitlines():
        subprocess.run(["ip", "link", "delete", line.split(": ")[1]], check=False)
    records = (f"/{place}/libvirt/{kind}" for place in ("etc", "run") for kind in ("qemu", "storage", "network"))
    for folder in (*records, *(f"/var/lib/libvirt/{pool}" for pool in left["pools"])):
        shutil.rmtree(folder, ignore_errors=True)
    daemons.start()


def everything() -> Mapping[str, list[str]]:
    """Return the names of all that libvirt has defined here: VMs, networks, pools."""
    lists = {"domains": ("list", "--all"), "networks": ("net-list", "--all"), "pools": ("pool-list", "--all")}
    return {kind: virsh(*words, "--name").split() for kind, words in lists.items()}
