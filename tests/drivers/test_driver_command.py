"""``python -m cluster.drivers`` with a kubectl on PATH: words, exit statuses, what is printed where."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.drivers.__main__ import main, wish
from cluster.drivers.patience import Patience
from tests.drivers.gpu_world import NEW, OLD, Machine, World
from tests.drivers.kubectl_on_path import Hurried, on_path

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "nvcr.io/nvidia/k8s/cuda-sample:vectoradd-cuda12.5.0-ubuntu22.04"
TOLD = {"KUBECONFIG": ".cloud/prod/kubeconfig", "GPU_NODES": "gpu-1=1 gpu-2=2", "CUDA_IMAGE": IMAGE}


def world() -> World:
    return World({"gpu-1": Machine(1), "gpu-2": Machine(2)}, compile_s=10.0, lag=5.0)


def test_the_environment_is_the_wish() -> None:
    told = wish({**TOLD, "DRIVER_VERSION": NEW, "EVICT_TIMEOUT": "60"})
    assert (told.gpus, told.version, told.image) == ({"gpu-1": 1, "gpu-2": 2}, NEW, IMAGE)
    assert told.patience == Patience(evict=60)
    assert wish({**TOLD, "DRIVER_VERSION": ""}).version is None


def test_a_rollout_by_the_real_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = world()
    there.add_model("assistant", node="gpu-1")
    there.policy, there.template_at = NEW, there.time + there.lag
    with on_path(there, tmp_path / "bin") as folder:
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        assert main(["bring"], {**TOLD, "DRIVER_VERSION": NEW}, Hurried(there)) == 0
    assert capsys.readouterr().out == (
        "gpu-1: 1 GPU, driver 595.91.07, CUDA works\ngpu-2: 2 GPUs, driver 595.91.07, CUDA works\n"
    )
    assert there.said[1:3] == [f"gpu-1: out of service for driver {NEW}", f"gpu-1: driver {OLD} -> {NEW}"]
    assert there.proven == {"gpu-1": NEW, "gpu-2": NEW}


def test_the_program_itself_checks_and_fails_with_a_remedy(tmp_path: Path) -> None:
    there = world()
    there.call_s = 10.0
    with on_path(there, tmp_path / "bin") as folder:
        done = _program(folder, "check", GPU_NODES="gpu-1=1")
        assert (done.returncode, done.stdout) == (0, f"gpu-1: 1 GPU, driver {OLD}, CUDA works\n"), done.stderr
        there.machines["gpu-1"].ready = False
        done = _program(folder, "bring", GPU_NODES="gpu-1=1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "GPU nodes that are not Ready: gpu-1; nothing was changed; see: kubectl get nodes, and cloudctl status\n"
    )


def test_without_kubectl_the_remedy_is_named(tmp_path: Path) -> None:
    done = _program(tmp_path, "check")
    assert done.returncode == 1
    assert done.stderr.startswith("there is no kubectl on PATH")
    assert "the same again goes on from there" in done.stderr


def test_words_that_mean_nothing() -> None:
    done = subprocess.run([sys.executable, "-m", "cluster.drivers"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "usage: python -m cluster.drivers bring|check\n")


def _program(folder: Path, word: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(folder), **TOLD, "DRIVER_VERSION": OLD, **more}
    return subprocess.run(
        [sys.executable, "-m", "cluster.drivers", word], cwd=ROOT, capture_output=True, text=True, env=environment
    )
