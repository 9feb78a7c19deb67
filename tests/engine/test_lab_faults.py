"""Faults on the real engine: the update fails with the reason, and the next one, the fault gone, goes on to the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.settings.model import NAMESPACE
from lab.workspace import ROOT, Workspace
from tests.engine.kills import standing
from tests.engine.rehearsal import Lab

pytestmark = pytest.mark.engine

FAULTS = {
    "a release that fails": (
        {
            "resource": "Release/minio",
            "operation": "create",
            "effect": "fail",
            "message": "release minio failed: timeout",
        },
        "release minio failed: timeout",
    ),
    "a VM that the host never told of": (
        {"resource": "Domain/dev-worker-1", "operation": "create", "effect": "lose-connection", "after": True},
        "connection reset by peer",
    ),
    "a namespace that the cluster never told of": (
        {"resource": "Namespace/mlflow", "operation": "create", "effect": "lose-connection", "after": True},
        "connection reset by peer",
    ),
    "a password that the cluster never told of": (
        {"resource": "core/v1:Secret", "operation": "create", "effect": "lose-connection", "after": True},
        "connection reset by peer",
    ),
    "a step that hangs": (
        {"resource": "kubernetes-workers$", "operation": "create", "effect": "hang", "seconds": 1},
        "timed out",
    ),
}


@pytest.fixture
def dev(tmp_path: Path) -> Lab:
    return Lab(Workspace("dev", tmp_path / "lab"))


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if "told" in n and "VM" in n else pytest.mark.slow) for n in FAULTS]
)
def test_the_next_update_goes_on_where_a_fault_stopped_one(dev: Lab, tmp_path: Path, name: str) -> None:
    fault, words = FAULTS[name]
    file = tmp_path / "faults.yaml"
    file.write_text(yaml.safe_dump([fault]))
    failed = dev("up", "--faults", str(file), "--pace", "0")
    assert failed.returncode == 1, failed.stdout
    assert words in failed.stdout
    assert "Traceback" not in failed.stdout + failed.stderr
    dev.up("--pace", "0")
    after = standing(dev.place)
    assert "no changes" in dev.up("--pace", "0").stdout
    assert standing(dev.place) == after
    down = dev("down")
    assert down.returncode == 0, down.stdout


def test_a_fault_file_that_cannot_be_used_is_told_whole(dev: Lab, tmp_path: Path) -> None:
    file = tmp_path / "faults.yaml"
    file.write_text("- {resource: '(', operation: explode, effect: fail}\n")
    done = dev("up", "--faults", str(file))
    assert done.returncode == 2
    assert "is not a regex" in done.stdout
    assert "explode" in done.stdout
    assert not (dev.place.dir / "journal.jsonl").exists()


@pytest.mark.slow
def test_one_stack_on_two_hosts(tmp_path: Path) -> None:
    lab = Lab(Workspace("prod", tmp_path / "lab"))
    settings = tmp_path / "two.yaml"
    settings.write_text(yaml.safe_dump(_on_two_hosts()))
    lab.up("--settings", str(settings), "--host-file", "lab/hosts/two-hosts.yaml", "--pace", "0")
    for host, machine in (("workstation", "gpu-1"), ("workstation-2", "gpu-2")):
        twin = (lab.place.dir / "hosts" / f"{host}.yaml").read_text()
        assert machine in [each["name"] for each in yaml.safe_load(twin)["domains"]]
    assert lab("down").returncode == 0


def _on_two_hosts() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "Pulumi.prod.yaml").read_text())
    config = document["config"]
    facts = yaml.safe_load((ROOT / "lab/hosts/two-hosts.yaml").read_text())
    first = config[f"{NAMESPACE}:hosts"][0]
    second = {**first, "name": facts[1]["name"], "uri": "qemu+ssh://root@workstation-2/system"}
    config[f"{NAMESPACE}:hosts"] = [first, second]
    config.setdefault(f"{NAMESPACE}:network", {}).update({"mode": "bridge", "bridge": facts[0]["bridges"][0]})
    for machine in config[f"{NAMESPACE}:machines"]:
        machine["host"] = first["name"]
        if machine["name"] == "gpu-2":
            machine["host"] = second["name"]
            machine["gpus"] = [{"address": facts[1]["gpus"][0]["address"], "siblings": "auto"}]
    return document
