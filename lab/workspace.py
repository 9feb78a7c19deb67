"""Where a rehearsal lives: ``.lab/<stack>/`` holds its settings, twins, world, logs and state.

The stack's settings are a copy of ``Pulumi.<stack>.yaml``: secrets are thrown-away ones, ``facts`` points at the live
twin that the libvirt stand-in keeps, ``state`` at a lease file here. Everything else is the stack as it is committed.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML

from cluster import whole
from cluster.host.model import HostFacts, dump_facts, load_facts
from cluster.problems import InputError, Problem
from cluster.settings.model import NAMESPACE

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_TWIN = ROOT / "lab" / "hosts" / "workstation.yaml"

EXECUTED = (r"-lease-[0-9a-f-]+$",)
"""Command resources that the lab really runs: the leases, whose file is the lab's own."""


@dataclass(frozen=True)
class Workspace:
    """The folder of one rehearsed stack. ``home`` is ``.lab`` unless a test wants its own."""

    stack: str
    home: Path = ROOT / ".lab"

    @property
    def dir(self) -> Path:
        """Everything of this stack."""
        return self.home / self.stack

    @property
    def config_file(self) -> Path:
        """The lab's copy of the stack's settings."""
        return self.dir / f"Pulumi.{self.stack}.yaml"

    @property
    def logs(self) -> Path:
        """One event log and one output file for each engine run."""
        return self.dir / "logs"

    @property
    def state_file(self) -> Path:
        """The engine's checkpoint of this stack in the local backend."""
        return self.home / "state" / ".pulumi" / "stacks" / NAMESPACE / f"{self.stack}.json"

    @property
    def create_failed(self) -> Path:
        """There after an update in which a creation failed: what it had begun, the engine has forgotten."""
        return self.dir / "create-failed"

    def variables(self) -> dict[str, str]:
        """Return the environment variables that make plain ``pulumi`` and ``cloudctl`` work on this rehearsal."""
        path = [ROOT / ".venv" / "bin", self.home / "bin", toolchain_bin()]
        return {
            "PATH": os.pathsep.join([*(str(part) for part in path if part), os.environ.get("PATH", os.defpath)]),
            "PULUMI_HOME": str(self.home / "home"),
            # Without the sidecar files beside each checkpoint: they are written in place, and an engine that is killed
            # then leaves an empty one, with which it cannot read the checkpoint any more ("EOF").
            "PULUMI_BACKEND_URL": f"file://{self.home / 'state'}?metadata=skip",
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(self.dir / "passphrase"),
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "1",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "LAB_DIR": str(self.dir),
            "CLOUD_STACK": self.stack,
            "CLOUD_CONFIG_FILE": str(self.config_file),
        }

    def environment(self) -> dict[str, str]:
        """Return this process's environment with ``variables`` in force, and no other passphrase or token.

        Python may keep what it compiled: each run starts five of them, which would cost seconds to compile anew.
        """
        dropped = "PYTHONDONTWRITEBYTECODE"
        clean = {key: value for key, value in os.environ.items() if not key.startswith("PULUMI_") and key != dropped}
        return clean | self.variables()

    def resources(self) -> int:
        """Return how many resources the engine has recorded for the stack, pending operations included."""
        latest = self.checkpoint()
        return len(latest.get("resources") or []) + len(latest.get("pending_operations") or [])

    def checkpoint(self) -> dict[str, Any]:
        """Return what the engine has recorded of the stack last, secrets encrypted; empty where it has nothing."""
        if not self.state_file.exists():
            return {}
        return dict(json.loads(self.state_file.read_text())["checkpoint"].get("latest") or {})


def toolchain_bin() -> Path | None:
    """Return the folder of the engine that ``make engine`` provided, or None where ``pulumi`` is to come from PATH."""
    override = os.environ.get("CLOUD_ENGINE_BIN")
    place = Path(override) if override else ROOT / ".lab" / "toolchain" / "bin"
    return place if (place / "pulumi").exists() else None


def prepare(place: Workspace, twin: Path, faults: Path | None, pace: float, settings: Path | None = None) -> list[str]:
    """Lay out the folder for a run and return what a person should know of it.

    ``settings`` is a stack file to rehearse instead of the committed one.

    A stack that holds resources keeps its world: another twin is refused then, with the remedy.
    Raises InputError for a stack file, twin or fault file that cannot be used.
    """
    from lab.faults import load_faults  # the fault file's shape belongs to the stand-ins

    source = settings or ROOT / f"Pulumi.{place.stack}.yaml"
    if not source.exists():
        known = ", ".join(sorted(path.name.split(".")[1] for path in ROOT.glob("Pulumi.*.yaml")))
        raise InputError(source.name, [Problem("stack", place.stack, "has no stack file", f"use one of: {known}")])
    if faults is not None:
        load_faults(faults)
    for folder in (place.dir, place.logs, place.home / "state", place.home / "home", place.dir / "hosts"):
        folder.mkdir(parents=True, exist_ok=True)
    passphrase = place.dir / "passphrase"
    if not passphrase.exists():
        whole.replace(passphrase, secrets.token_urlsafe(24), whole.PRIVATE)
    hosts = _write_settings(place, source)
    notes = _seed_twins(place, twin, hosts)
    lab = {"hosts": {host["uri"]: host["name"] for host in hosts}, "pace": pace, "execute": list(EXECUTED)}
    (place.dir / "lab.yaml").write_text(yaml.safe_dump(lab, sort_keys=False))
    _place_faults(place, faults)
    return notes


def _write_settings(place: Workspace, source: Path) -> list[Mapping[str, Any]]:
    """Copy the stack's settings, keeping the secrets that an earlier run made; return its hosts."""
    reader = YAML()
    document = reader.load(source.read_text()) or {}
    config = document.setdefault("config", {})
    before = yaml.safe_load(place.config_file.read_text()) if place.config_file.exists() else {}
    made = (before or {}).get("config", {})
    for key in ("encryptionsalt", "secretsprovider", "encryptedkey"):
        document.pop(key, None)
        if key in (before or {}):
            document[key] = before[key]
    config.pop(f"{NAMESPACE}:secrets", None)
    if f"{NAMESPACE}:secrets" in made:
        config[f"{NAMESPACE}:secrets"] = made[f"{NAMESPACE}:secrets"]
    access = config.setdefault(f"{NAMESPACE}:access", {})
    access["ssh_private_key_file"] = str(place.dir / "ssh" / "id_ed25519")
    access.pop("ssh_public_key", None)
    key = made.get(f"{NAMESPACE}:access", {}).get("ssh_public_key")
    if key:
        access["ssh_public_key"] = key
    config[f"{NAMESPACE}:state"] = str(place.dir / "state.json")
    hosts: list[dict[str, Any]] = config.get(f"{NAMESPACE}:hosts") or []
    for host in hosts:
        host.setdefault("uri", "qemu:///system")
        host["facts"] = str(place.dir / "hosts" / f"{host['name']}.yaml")
    with place.config_file.open("w") as out:
        reader.dump(document, out)
    (place.dir / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text())
    return [{"name": str(host["name"]), "uri": str(host["uri"])} for host in hosts]


def _seed_twins(place: Workspace, twin: Path, hosts: list[Mapping[str, Any]]) -> list[str]:
    """Copy the twin's hosts to where the stand-in keeps them alive, unless the stack stands on them already."""
    digest = hashlib.sha256(twin.read_bytes()).hexdigest() if twin.exists() else ""
    seed = place.dir / "twin.json"
    facts = load_facts(twin)
    if place.resources():
        known = json.loads(seed.read_text()) if seed.exists() else {}
        if known.get("sha256") != digest:
            reason = f"is not the twin that stack {place.stack} stands on ({known.get('path', 'unknown')})"
            remedy = f"first: make lab-down STACK={place.stack}"
            raise InputError("HOST", [Problem("HOST", str(twin), reason, remedy)])
        return []
    for rest in ("world", "hosts", "journal.jsonl", "state.json", place.stack):
        target = place.dir / rest
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
    (place.dir / "hosts").mkdir()
    notes = []
    chosen = _match(facts, [host["name"] for host in hosts])
    for name, host_facts in chosen.items():
        if host_facts.name != name:
            notes.append(f"host {name} is played by {host_facts.name} of {twin.name}")
        live = host_facts.model_copy(update={"name": name, "live": True})
        (place.dir / "hosts" / f"{name}.yaml").write_text(dump_facts(live))
    seed.write_text(json.dumps({"path": str(twin), "sha256": digest}))
    return notes


def _match(facts: tuple[HostFacts, ...], names: list[str]) -> dict[str, HostFacts]:
    """Give each of the stack's hosts its twin: by name, and a single host of another name to a single twin."""
    by_name = {each.name: each for each in facts}
    if len(names) == 1 and len(facts) == 1:
        return {names[0]: facts[0]}
    missing = [name for name in names if name not in by_name]
    if missing:
        reason = f"holds {', '.join(by_name)}, and the stack names {', '.join(missing)}"
        raise InputError("HOST", [Problem("HOST", None, reason, "use a twin that has every host of the stack")])
    return {name: by_name[name] for name in names}


def _place_faults(place: Workspace, faults: Path | None) -> None:
    target = place.dir / "faults.yaml"
    if faults is None:
        target.unlink(missing_ok=True)
    elif not target.exists() or target.read_text() != faults.read_text():
        target.write_text(faults.read_text())
        (place.dir / "faults-spent.json").unlink(missing_ok=True)
