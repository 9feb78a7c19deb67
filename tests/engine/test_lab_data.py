"""Data on the real engine: what a destroy leaves of a stack in somebody's cluster, and that a later up takes it up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.data import KEPT
from cluster.settings.model import NAMESPACE
from lab.engine import quiet, run
from lab.plugins.world import WorldObject, objects
from lab.workspace import ROOT, Workspace
from tests.engine.rehearsal import Lab

pytestmark = [pytest.mark.engine, pytest.mark.slow]

MINIO = {("Namespace", "object-store"), ("PersistentVolumeClaim", "object-store/minio-data")}
POSTGRES = {("Namespace", "database"), ("Cluster", "database/postgres")}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(Workspace("dev", tmp_path / "lab"))


def stack_file(tmp_path: Path, **sections: dict[str, Any]) -> str:
    """Write the dev stack on a cluster that exists already, with sections replaced."""
    document: dict[str, Any] = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())
    config = document["config"]
    config |= {f"{NAMESPACE}:machines": [], f"{NAMESPACE}:models": []}
    config[f"{NAMESPACE}:kubernetes"] = {"provisioner": "existing", "kubeconfig": "~/.kube/config"}
    config |= {f"{NAMESPACE}:{name}": section for name, section in sections.items()}
    file = tmp_path / "stack.yaml"
    file.write_text(yaml.safe_dump(document))
    return str(file)


def in_cluster(lab: Lab) -> dict[tuple[str, str], WorldObject]:
    found = [each for each in objects(lab.place.dir) if each.provider.startswith("kubernetes-")]
    return {(each.kind, each.id): each for each in found}


def uids(lab: Lab) -> dict[str, str]:
    """Return the key of each object in the cluster -> its uid, which a new object of the same name does not share."""
    found: dict[str, str] = {}
    for path in (lab.place.dir / "world").glob("kubernetes-*.json"):
        found |= {key: record["uid"] for key, record in json.loads(path.read_text())["objects"].items()}
    return found


def destroy(lab: Lab, *extra: str) -> str:
    done = run(lab.place, "destroy", *extra)
    log = done.log.read_text()
    assert done.status == 0, log
    return log


def test_data_outlives_its_stack_and_is_taken_up_again(lab: Lab, tmp_path: Path) -> None:
    file = stack_file(tmp_path)
    lab.up("--settings", file, "--pace", "0")
    before = uids(lab)
    log = destroy(lab)
    assert set(in_cluster(lab)) == MINIO | POSTGRES
    # whoever destroys without make is told, too
    assert "runs, registered models and users in claims of PostgreSQL database/postgres: stays in the cluster" in log
    assert "metrics in claims in namespace monitoring: is deleted with its namespace" in log
    left = uids(lab)

    again_up = run(lab.place, "up")  # by the engine alone: a rehearsal begins an empty stack in a new world
    assert again_up.status == 0, again_up.log.read_text()
    again = uids(lab)
    assert {key: again[key] for key in left} == left == {key: before[key] for key in left}, "taken up, not made anew"
    assert "no changes" in lab.up("--settings", file, "--pace", "0").stdout
    assert lab("down").returncode == 0


def test_a_release_that_goes_takes_no_data(lab: Lab, tmp_path: Path) -> None:
    keep_nothing = {"retain": False, "size": "20GiB"}
    file = stack_file(tmp_path, object_store=keep_nothing, database=keep_nothing)
    lab.up("--settings", file, "--pace", "0")
    (release,) = [
        each["urn"]
        for each in lab.export()["deployment"]["resources"]
        if each["type"].endswith(":Release") and each["urn"].endswith("::minio")
    ]
    destroy(lab, "--target", release, "--target-dependents")
    there = in_cluster(lab)
    assert ("Release", "object-store/minio") not in there
    assert set(there) >= MINIO

    destroy(lab)
    assert in_cluster(lab) == {}, "retain is false, so nothing stays"
    assert lab("down").returncode == 0


def test_the_command_says_what_the_engine_will_do(lab: Lab, tmp_path: Path) -> None:
    file = stack_file(tmp_path)
    lab.up("--settings", file, "--pace", "0")
    assert data(lab) == {"object_store": True, "database": True, "monitoring": False}
    assert set(KEPT) >= MINIO | POSTGRES

    # changed in the file alone, the engine still keeps it; with an up it does no longer
    config = yaml.safe_load(lab.place.config_file.read_text())
    config["config"][f"{NAMESPACE}:object_store"] = {"retain": False, "size": "20GiB", "memory": "1GiB"}
    lab.place.config_file.write_text(yaml.safe_dump(config))
    assert data(lab)["object_store"] is True
    assert run(lab.place, "up").status == 0
    assert data(lab) == {"object_store": False, "database": True, "monitoring": False}
    destroy(lab)
    assert set(in_cluster(lab)) == POSTGRES
    quiet(lab.place, "stack", "ls")
    assert lab("down").returncode == 0


def release(lab: Lab, key: str) -> dict[str, Any]:
    """Return what the cluster has of a Helm release."""
    (world,) = (lab.place.dir / "world").glob("kubernetes-*.json")
    found: dict[str, Any] = json.loads(world.read_text())["releases"][key]
    return found


def test_an_upgrade_that_fails_leaves_the_old_release_and_is_tried_again_in_place(lab: Lab, tmp_path: Path) -> None:
    small = {"size": "20GiB", "memory": "1GiB"}
    lab.up("--settings", stack_file(tmp_path, object_store=small), "--pace", "0")
    before, claims = release(lab, "object-store/minio"), uids(lab)
    words = "1 error occurred: timed out waiting for the condition"
    fault = {"resource": "minio$", "operation": "update", "effect": "fail", "times": 1, "message": words}
    faults = tmp_path / "faults.yaml"
    faults.write_text(yaml.safe_dump([fault]))
    larger = stack_file(tmp_path, object_store=small | {"memory": "2GiB"})

    failed = lab("up", "--settings", larger, "--pace", "0", "--faults", str(faults))
    assert failed.returncode == 1
    assert words in failed.stdout
    kept = release(lab, "object-store/minio")
    rolled_back = before | {"revision": before["revision"] + 2}  # the failed one, and Helm's own way back
    assert kept == rolled_back, "what served before serves on"

    lab.up("--settings", larger, "--pace", "0")
    after = release(lab, "object-store/minio")
    assert (after["revision"], after["status"]) == (kept["revision"] + 1, "deployed")
    assert after["values"] != before["values"]
    claim = "/PersistentVolumeClaim/object-store/minio-data"
    assert uids(lab)[claim] == claims[claim]
    assert lab("down").returncode == 0


def data(lab: Lab) -> dict[str, bool]:
    """Ask the command which of the stack's data would survive."""
    words = [sys.executable, "-m", "cloudctl", "data", "--stack", "dev", "--json"]
    done = subprocess.run(words, cwd=ROOT, env=os.environ | lab.place.environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    survives = {row["name"]: row["survives"] for row in shown["holdings"] if row["stands"]}
    assert shown["lost"] == [name for name, kept in survives.items() if not kept]
    return survives
