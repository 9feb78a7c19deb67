"""The check pod as it is written, and how it ends: passed, failed, stuck, busy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from cluster.drivers.cuda import Check, manifest
from cluster.drivers.kubectl import Kubectl
from cluster.drivers.model import CHECK_LABEL, GPU, CheckPod
from cluster.drivers.patience import Patience
from cluster.drivers.tools import NodeError
from cluster.render.container_images import parse
from cluster.render.inventory import GPU_TAINT
from cluster.versions import IMAGES
from tests.drivers.gpu_world import Machine, World

IMAGE = IMAGES["cuda-sample"]


def check(there: World) -> Check:
    return Check(Kubectl(there, "kubeconfig"), IMAGE, Patience())


def test_the_pod_asks_for_cards_of_one_node_and_goes_there_whatever_its_taints() -> None:
    pod = manifest("gpu-1", IMAGE, 2)
    (container,) = pod["spec"]["containers"]
    assert container["resources"]["limits"][GPU] == "2"
    assert container["image"] == IMAGE
    assert "nodeName" not in pod["spec"]  # it would pass the scheduler by, and be failed where it has to wait
    assert pod["metadata"]["labels"] == {CHECK_LABEL: "gpu-1"}
    tolerated = {each["key"] for each in pod["spec"]["tolerations"]}
    assert {GPU_TAINT.partition("=")[0].partition(":")[0], "node.kubernetes.io/unschedulable"} <= tolerated
    assert "command" not in container  # the image's own entry point is the sample


def test_the_image_is_pinned() -> None:
    assert parse(IMAGE).tag.startswith("vectoradd-cuda")


def test_a_pod_left_over_is_taken_away_first() -> None:
    there = World({"gpu-1": Machine(1)})
    there.k_create(["--validate=false", "-f", "-"], json.dumps(manifest("gpu-1", IMAGE, 1)))
    assert check(there).run("gpu-1", 1, emptied=True)
    there.sleep(5)
    assert there.pods == {}


@dataclass(frozen=True)
class Told(Kubectl):
    """A cluster whose check pods are in this state, once they are made."""

    pod: CheckPod = CheckPod("Pending")  # noqa: RUF009 - frozen
    made: list[str] = field(default_factory=list)

    def check_pod(self, name: str) -> CheckPod | None:
        return self.pod if self.made else None

    def create(self, manifest: Mapping[str, Any]) -> None:
        self.made.append(manifest["metadata"]["name"])

    def log(self, pod: str) -> str:
        return ""

    def last_event(self, pod: str) -> str:
        return 'failed to create pod sandbox: no runtime for "nvidia" is configured'


@pytest.mark.parametrize(
    ("pod", "said"),
    [
        (CheckPod("Pending", waiting="ErrImagePull: gone"), r"has not run in 300 s: ErrImagePull.*registry\.mirror"),
        (CheckPod("Pending", unscheduled=f"0/1 nodes: 1 Insufficient {GPU}"), "has not run in 600 s: 0/1 nodes"),
        (CheckPod("Pending"), "has not run in 600 s: failed to create pod sandbox: no runtime.*container toolkit"),
        (CheckPod("Failed", said="UnexpectedAdmissionError Allocate failed"), "CUDA does not work: Unexpected.*plugin"),
        (CheckPod("Failed"), "CUDA does not work: it printed nothing"),
    ],
)
def test_how_a_pod_ends(pod: CheckPod, said: str) -> None:
    checks = Check(Told(World({"gpu-1": Machine(1)}), "kubeconfig", pod), IMAGE, Patience())
    with pytest.raises(NodeError, match=said):
        checks._once("gpu-1", 1, emptied=True)


def test_cards_that_are_taken_are_waited_for_half_a_minute_only() -> None:
    pod = CheckPod("Pending", unscheduled=f"0/1 nodes: 1 Insufficient {GPU}")
    there = World({"gpu-1": Machine(1)})
    begun = there.time
    assert not Check(Told(there, "kubeconfig", pod), IMAGE, Patience())._once("gpu-1", 1, emptied=False)
    assert 30 <= there.time - begun < 40
