"""The words that are typed, read by the real kubectl: a whole rollout against an API server over a world."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.drivers.journal import Journal, JournalMap, Rollout
from cluster.drivers.kubectl import Kubectl
from cluster.drivers.rollout import Drivers, Wish
from cluster.drivers.tools import DriverError
from tests.drivers.api_server import serving
from tests.drivers.gpu_world import NEW, OLD, Machine, World
from tests.drivers.kubectl_on_path import Hurried

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl on PATH")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))  # where kubectl keeps what it has discovered
    return tmp_path


def test_there_and_back_with_the_real_kubectl(home: Path) -> None:
    there = World({"gpu-1": Machine(1)}, compile_s=5.0, lag=3.0, budgets={"assistant": 1})
    there.broken = {("gpu-1", NEW)}
    there.add_model("assistant", node="gpu-1")
    there.add_model("assistant")
    there.machines["gpu-2"] = Machine(1, pod="nvidia-driver-daemonset-gpu-2")
    there.proven["gpu-2"] = OLD
    there.policy, there.template_at = NEW, there.time + there.lag
    with serving(there, home / "kubeconfig") as api:
        wish = Wish({"gpu-1": 1}, NEW, "nvcr.io/nvidia/k8s/cuda-sample:vectoradd-cuda12.5.0-ubuntu22.04")
        with pytest.raises(DriverError, match=f"the earlier driver {OLD} is on every GPU node again"):
            Drivers(Kubectl(Hurried(there), str(home / "kubeconfig")), wish).bring()
    assert (there.machines["gpu-1"].driver, there.policy, there.proven["gpu-1"]) == (OLD, OLD, OLD)
    assert (there.machines["gpu-1"].cordoned, there.machines["gpu-1"].annotations) == (False, {})
    assert there.renewed == [("gpu-1", NEW), ("gpu-1", OLD)]
    assert any(each.startswith("POST ") and each.endswith("/eviction") for each in api.asked)
    assert {each.partition(" ")[0] for each in api.asked} == {"GET", "POST", "PUT", "PATCH", "DELETE"}


def test_what_the_api_refuses_is_told_in_its_words(home: Path) -> None:
    there = World({"gpu-1": Machine(1)}, budgets={"assistant": 1})
    there.add_model("assistant", node="gpu-1")
    with serving(there, home / "kubeconfig"):
        kubectl = Kubectl(Hurried(there), str(home / "kubeconfig"))
        (pod,) = kubectl.gpu_pods("gpu-1")
        assert "Cannot evict pod as it would violate the pod's disruption budget" in kubectl.evict(pod)
        assert kubectl.evict(replace(pod, name="gone")) == ""
        one, two = JournalMap(kubectl), JournalMap(kubectl)
        one.load()
        one.save(Journal(good=OLD))
        two.load()
        two.save(Journal(good=NEW))
        with pytest.raises(DriverError, match="another rollout is at work"):
            one.save(Journal(good=OLD, open=Rollout(wanted=NEW, earlier=OLD)))
    assert there.evicted == []


def test_an_api_that_is_not_there_is_silence(home: Path) -> None:
    there = World({"gpu-1": Machine(1)})
    with serving(there, home / "kubeconfig"):
        pass
    kubectl = Kubectl(Hurried(there), str(home / "kubeconfig"))
    with pytest.raises(DriverError, match=r"the cluster does not answer: .*refused"):
        kubectl.nodes()
