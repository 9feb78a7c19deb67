"""``cloudctl gpus check``: what came of each node's CUDA check, and whether a change of driver is not over."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cloudctl import cuda
from cluster.versions import DRIVER_DEFAULT
from tests.cloudctl.conftest import Project, Run
from tests.drivers.gpu_world import Machine, World
from tests.drivers.kubectl_on_path import Hurried, on_path

CHECK = ("gpus", "check", "--stack", "prod")


@pytest.fixture
def there(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    folder = project.folder / ".cloud" / "prod"
    folder.mkdir(parents=True)
    (folder / "kubeconfig").write_text("apiVersion: v1\n")
    world = World({"gpu-1": Machine(1, driver=DRIVER_DEFAULT)}, policy=DRIVER_DEFAULT, template=DRIVER_DEFAULT)
    monkeypatch.setattr(cuda, "Quiet", lambda: Hurried(world))
    monkeypatch.setenv("PATH", f"{tmp_path / 'kube'}{os.pathsep}{os.environ['PATH']}")
    return world


def test_a_node_on_which_cuda_works(cloudctl: Run, there: World, tmp_path: Path) -> None:
    with on_path(there, tmp_path / "kube"):
        shown = cloudctl(*CHECK)
        data = json.loads(cloudctl(*CHECK, "--json").stdout)
    assert (shown.exit_code, shown.stdout) == (0, f"gpu-1: 1 GPU, driver {DRIVER_DEFAULT}, CUDA works\n")
    assert data["unfinished"] is None
    (row,) = data["nodes"]
    assert (row["node"], row["gpus"], row["works"], row["problem"]) == ("gpu-1", 1, True, "")


def test_one_on_which_it_does_not(cloudctl: Run, there: World, tmp_path: Path) -> None:
    there.broken = {("gpu-1", DRIVER_DEFAULT)}
    with on_path(there, tmp_path / "kube"):
        shown = cloudctl(*CHECK)
    assert shown.exit_code == 1
    assert "gpu-1: CUDA does not work: " in shown.stdout


def test_busy_cards_are_no_failure(cloudctl: Run, there: World, tmp_path: Path) -> None:
    there.add_model("assistant", node="gpu-1")
    with on_path(there, tmp_path / "kube"):
        shown = cloudctl(*CHECK)
    assert shown.exit_code == 0
    assert "busy: models have all its cards" in shown.stdout
    assert there.evicted == []


def test_a_change_that_is_not_over_is_told(cloudctl: Run, there: World, tmp_path: Path) -> None:
    rollout = {"wanted": "610.57.04", "earlier": DRIVER_DEFAULT, "direction": "back", "failed": ["gpu-1", "x"]}
    there.maps["gpu-driver-rollout"] = {"metadata": {}, "data": {"journal": json.dumps({"open": rollout})}}
    with on_path(there, tmp_path / "kube"):
        shown = cloudctl(*CHECK)
    assert shown.exit_code == 1
    assert f"the change to driver 610.57.04 is not over, it goes back to {DRIVER_DEFAULT}" in shown.stdout


def test_no_cluster_yet(cloudctl: Run, project: Project) -> None:
    shown = cloudctl(*CHECK)
    assert shown.exit_code == 3
    assert "there is no cluster yet" in shown.stderr
