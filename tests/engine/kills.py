"""Rehearsals that are killed: a small stack with every phase, and what two of them must have in common at the end."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cluster.host.model import load_facts
from cluster.leases import Book, LeaseFile
from cluster.settings.model import NAMESPACE
from lab.engine import quiet, run, start
from lab.plugins.world import objects
from lab.recover import recover
from lab.setup import initialise
from lab.workspace import DEFAULT_TWIN, ROOT, Workspace, prepare
from tests.engine.rehearsal import Lab


def small_stack(folder: Path) -> Path:
    """Write a stack file with one control plane, one GPU worker and one model: every task of the table, once."""
    document = yaml.safe_load((ROOT / "Pulumi.prod.yaml").read_text())
    config: dict[str, Any] = document["config"]
    first: dict[str, Any] = {}
    for machine in config[f"{NAMESPACE}:machines"]:
        first.setdefault(machine["role"], machine)
    config[f"{NAMESPACE}:machines"] = [first["control-plane"], first["gpu-worker"]]
    config[f"{NAMESPACE}:models"] = [each for each in config[f"{NAMESPACE}:models"] if each.get("gpus")]
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


_HASH = re.compile(r"[0-9a-f]{12}")


def share_secrets(lab: Lab, of: Lab) -> None:
    """Give a new rehearsal another one's passphrase and secrets: making them takes longer than what is tested."""
    lab.place.dir.mkdir(parents=True)
    for name in ("passphrase", lab.place.config_file.name):
        shutil.copy2(of.place.dir / name, lab.place.dir / name)


def make_ready(lab: Lab, settings: Path, faults: list[dict[str, Any]] | None = None) -> None:
    """Lay the rehearsal out with a fault file, as ``lab up`` does before it starts the engine."""
    faulty = None
    if faults:
        faulty = lab.place.home / "faults.yaml"
        faulty.parent.mkdir(parents=True, exist_ok=True)
        faulty.write_text(yaml.safe_dump(faults))
    prepare(lab.place, DEFAULT_TWIN, faulty, 0.0, settings)
    if not lab.place.state_file.exists():
        initialise(lab.place)


def run_until_killed(lab: Lab, verb: str) -> bool:
    """Run the engine; whatever outlives a killed engine ends with it. Return whether it was killed."""
    process, _ = start(lab.place, verb, pack=None)
    status = process.wait()
    try:
        os.killpg(process.pid, signal.SIGKILL)
        time.sleep(0.2)
    except ProcessLookupError:
        pass
    return status == -signal.SIGKILL


def finish(lab: Lab, verb: str) -> None:
    """Recover and run to the end, as the next ``make lab`` or ``make lab-down`` does."""
    recover(lab.place, lambda _: None)
    done = run(lab.place, verb, pack=None)
    assert done.status == 0, done.log.read_text()[-4000:]


@dataclass(frozen=True)
class Standing:
    """What stands at the end: each resource with its inputs, what the world holds, who leases which GPU, which card
    each stack saw."""

    resources: dict[str, Any]
    world: list[str]
    leases: list[tuple[str, ...]]
    seen: list[tuple[object, ...]]
    domains: list[tuple[str, str, tuple[str, ...]]]


def standing(place: Workspace) -> Standing:
    """Return what stands, without what may differ between two good runs: ids made by chance, ciphertext, times."""
    export = json.loads(quiet(place, "stack", "export", "--stack", place.stack))["deployment"]
    assert not export.get("pending_operations")
    resources = export.get("resources") or []
    urns = [resource["urn"] for resource in resources]
    assert len(urns) == len(set(urns)), "a resource is in the state twice"
    facts = load_facts(next((place.dir / "hosts").glob("*.yaml")))[0]
    # An id that chance made may stand in another resource's inputs: there it reads as what it names.
    # The order in the state is one of chance, too, and an id may be a part of another: by URN, the longest first.
    known = sorted((each for each in resources if each.get("id")), key=lambda each: str(each["urn"]))
    given = {str(each["id"]): f"<id of {each['urn'].rsplit('::', 1)[-1]}>" for each in known}
    given[str(place.home)] = "HOME"
    names = dict(sorted(given.items(), key=lambda each: (-len(each[0]), each[0])))
    book = LeaseFile(place.dir / "state.json").read()
    return Standing(
        {each["urn"]: (each["type"], _plain(each.get("inputs"), names)) for each in resources},
        sorted(objects(place.dir)),
        sorted((each.host, each.gpu, each.owner, each.vm) for each in book.leases),
        sorted((*each.place, each.vendor_device, each.serial, each.uuid, each.group) for each in book.seen),
        sorted((each.name, each.owner or "", tuple(each.hostdevs)) for each in facts.domains),
    )


def leased(place: Workspace) -> bool:
    """Whether the lease file says anything at all: void leases and memories count."""
    return LeaseFile(place.dir / "state.json").read() != Book()


def _plain(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        if "ciphertext" in value:
            return "[secret]"
        return {key: _plain(each, names) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each, names) for each in value]
    if isinstance(value, str):
        if _HASH.fullmatch(value):  # a trigger; it covers paths of the rehearsal's own folder
            return "<hash>"
        for chance, name in names.items():
            if len(chance) > 8:
                value = value.replace(chance, name)
    return value
