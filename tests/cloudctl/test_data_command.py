"""``cloudctl data``: what a stack holds, and what a destroy of it deletes, by settings and state."""

from __future__ import annotations

from typing import Any

import pytest

from cloudctl.views.data import report
from cluster.data import holdings
from cluster.settings.model import Settings
from tests.render.stacks import settings

EXISTING = {"machines": [], "kubernetes": {"provisioner": "existing", "kubeconfig": "~/.kube/config"}}


def state(*names: tuple[str, str, bool]) -> dict[str, Any]:
    """Return an export with resources (type, name, whether the engine was told to keep it)."""
    made = [
        {
            "urn": f"urn:pulumi:prod::inference-cloud::cloud:x${kind}::{name}",
            "type": kind,
            "custom": True,
            **({"retainOnDelete": True} if kept else {}),
        }
        for kind, name, kept in names
    ]
    return {"deployment": {"resources": made}}


CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
CLUSTER = "kubernetes:postgresql.cnpg.io/v1:Cluster"
RELEASE = "kubernetes:helm.sh/v3:Release"
UP = state((CLAIM, "minio-data", True), (CLUSTER, "postgres", True), (RELEASE, "monitoring", False))


def survivors(wanted: Settings, export: dict[str, Any]) -> dict[str, bool]:
    return {row["name"]: row["survives"] for row in report("prod", wanted, export)["holdings"]}


def test_on_machines_of_ours_all_data_goes_with_their_disks() -> None:
    found = report("prod", settings(), UP)
    assert found["lost"] == ["object_store", "database", "monitoring"]
    assert {row["stack_destroyed"] for row in found["holdings"]} == {"is deleted with the disks of the VMs"}
    alone = {row["name"]: row["service_destroyed"] for row in found["holdings"]}
    assert alone["object_store"].startswith("stays in the cluster")
    assert alone["monitoring"] == "is deleted with its namespace"


def test_in_somebodys_cluster_data_stays() -> None:
    found = report("prod", settings(**EXISTING), UP)
    assert found["lost"] == ["monitoring"]


def test_the_state_decides_what_the_engine_keeps() -> None:
    """A setting that was changed in the file counts from the next up on."""
    said = settings(**EXISTING, object_store={"retain": False}, database={"retain": True})
    assert survivors(said, UP) == {"object_store": True, "database": True, "monitoring": False}
    older = state((CLAIM, "minio-data", False), (CLUSTER, "postgres", False))
    assert survivors(said, older) == {"object_store": False, "database": False, "monitoring": False}


def test_what_was_not_made_yet_is_not_lost() -> None:
    found = report("prod", settings(), {"deployment": {}})
    assert (found["lost"], {row["stands"] for row in found["holdings"]}) == ([], {False})


def test_a_claim_of_somebody_else_is_named() -> None:
    own = {"name": "own", "uri": "pvc://disk-of-mine/models/1", "version": "1", "runtime": "mlserver"}
    found = report("prod", settings(**EXISTING, models=[own]), UP)
    (row,) = [each for each in found["holdings"] if each["name"] == "own"]
    assert row["volume"] == "claim models/disk-of-mine, which is not ours"
    assert row["stack_destroyed"] == "is deleted with namespace models: copy it elsewhere before"
    assert found["lost"] == ["monitoring", "own"]


@pytest.mark.parametrize(("instances", "words"), [(1, "20 GB of runs"), (3, "60 GB of runs")])
def test_sizes_are_those_of_all_copies(instances: int, words: str) -> None:
    (database,) = [each for each in holdings(settings(database={"instances": instances})) if each.name == "database"]
    assert str(database).startswith(words)
