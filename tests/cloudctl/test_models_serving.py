"""What a promotion does to the cluster: a stand-in for KServe and for kubectl that keeps their laws."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloudctl.promoting import kube, place
from cloudctl.promoting.kube import CANDIDATE_OF, ClusterServing
from cluster.problems import InputError
from cluster.promotion.model import PromotionError, Version
from cluster.settings.load import from_file
from tests.kserve.standin import KServe
from tests.render.stacks import settings
from tests.settings.settings_examples import ROOT

VERSION = Version("assistant", "7", "s3://models/assistant/7", "d" * 64)


class Cluster(KServe):
    """A cluster that serves the models of the settings."""

    def serving(self, index: int = 0, *, patience: float = 5.0, **changes: Any) -> ClusterServing:
        mine = settings(**changes)
        return ClusterServing(mine, mine.models[index], self.place.with_name("kubeconfig"), patience)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster(tmp_path)
    made.service("assistant")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(kube, "PAUSE_S", 0.05)
    return made


def test_a_candidate_is_a_fixed_version_with_its_digest_and_our_mark(cluster: Cluster) -> None:
    cluster.serving().deploy(VERSION)
    assert cluster["told"][0] == ["apply", "--server-side", "--field-manager=cloudctl", "-f", "-"]
    made = cluster["services"]["assistant-candidate"]
    assert made["metadata"]["labels"][CANDIDATE_OF] == "assistant"
    assert made["metadata"]["annotations"]["inference-cloud/model-digest"] == VERSION.digest
    predictor = made["spec"]["predictor"]
    assert predictor["model"]["storageUri"] == "models:/assistant/7"
    assert (predictor["minReplicas"], predictor["maxReplicas"], predictor["storageContainerName"]) == (1, 1, "mlflow")
    assert "--served-model-name=assistant" in predictor["model"]["args"], "clients ask for the model by its name"


def test_only_what_carries_our_mark_is_deleted(cluster: Cluster) -> None:
    cluster.serving().deploy(VERSION)
    cluster.service("assistant-candidates")
    cluster.serving().remove()
    assert set(cluster["services"]) == {"assistant", "assistant-candidates"}


def test_a_share_is_a_weight_of_the_route(cluster: Cluster) -> None:
    cluster.serving().share(20)
    backends = cluster["routes"]["assistant"]["rules"][0]["backendRefs"]
    assert [each["weight"] for each in backends] == [80, 20]


def test_a_share_of_a_model_with_a_standby_keeps_it_behind_both_versions(cluster: Cluster) -> None:
    variant = {"runtime": "huggingface", "uri": "s3://models/small/1"}
    llm = {
        "name": "assistant",
        "uri": "models:/assistant@champion",
        "gpus": 1,
        "standby": "cpu",
        "cpu_variant": variant,
    }
    cluster.serving(models=[llm]).share(20)
    backends = cluster["routes"]["assistant"]["rules"][0]["backendRefs"]
    assert [(each["kind"], each["name"], each["weight"]) for each in backends] == [
        ("Backend", "assistant-predictor", 80),
        ("Backend", "assistant-candidate-predictor", 20),
        ("Backend", "assistant-standby-predictor", 1),
    ]


def test_a_restart_waits_until_kserve_has_taken_it_over_and_its_pods_are_ready(cluster: Cluster) -> None:
    cluster.change(takes=0.5)
    cluster.serving().restart(VERSION)
    marks = cluster["deployments"]["assistant-predictor"]["marks"]
    assert marks[kube.SERVED] == "7" and cluster.answers("assistant")


def test_a_model_may_take_longer_to_load_than_kubernetes_calls_progress(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KServe leaves progressDeadlineSeconds at ten minutes, and an LLM from a slow disk takes longer."""
    cluster.change(takes=1.0, deadline=0.3)
    monkeypatch.setattr(kube, "TELL_S", 0.3)
    told: list[str] = []
    serving = replace(cluster.serving(), say=told.append)
    serving.deploy(VERSION)
    serving.restart(VERSION)
    assert cluster.answers("assistant") and cluster.answers("assistant-candidate")
    assert re.match(r"  assistant-candidate: 0 of 1 ready after \d of 5 s at most", told[0])


def loaded(version: str, digest: str = VERSION.digest) -> str:
    """What the init container of a pod says when it is through (cluster/serving/fetch.py)."""
    return json.dumps({"name": "assistant", "version": version, "digest": digest})


def test_what_the_pods_loaded_is_what_was_to_be_loaded(cluster: Cluster) -> None:
    cluster.change(loaded=loaded("7"))
    serving = cluster.serving()
    serving.restart(VERSION)
    assert serving.loaded() == {("7", VERSION.digest)}
    for other in (loaded("3"), loaded("7", "e" * 64)):
        cluster.change(loaded=other)
        with pytest.raises(PromotionError, match=r"assistant loaded version \d \(manifest .*\), not assistant 7"):
            serving.restart(VERSION)


def test_pods_that_do_not_say_what_they_loaded_are_told(cluster: Cluster) -> None:
    told: list[str] = []
    replace(cluster.serving(), say=told.append).restart(VERSION)
    assert told == ["  the pods of assistant do not say which version they loaded; pulumi up renews what fetches it"]


def test_a_version_that_does_not_get_ready_says_why(cluster: Cluster) -> None:
    cluster.change(takes=99, answers={"logs": "refused to serve: weights differ"})
    told = r"0 of 1 ready after 0.5 s; its download said: refused to serve: weights differ; see: kubectl"
    with pytest.raises(PromotionError, match=told):
        cluster.serving(patience=0.5).restart(VERSION)


def test_a_version_whose_pod_ends_again_and_again_is_not_waited_for(cluster: Cluster) -> None:
    cluster.change(dies=0.1)
    with pytest.raises(PromotionError, match=r"its pod was started anew \d+ times"):
        cluster.serving(patience=60).restart(VERSION)


def test_a_service_that_a_promotion_stopped_has_no_pods_until_the_next_one(cluster: Cluster) -> None:
    serving = cluster.serving()
    serving.stop()
    assert cluster.replicas("assistant") is None
    assert not serving.capacity().running
    serving.restart(VERSION)
    assert cluster.answers("assistant") and cluster.replicas("assistant") == 1


def test_what_somebody_else_has_stopped_is_not_started(cluster: Cluster) -> None:
    cluster.service("assistant", stop="true")
    with pytest.raises(PromotionError, match=r"assistant is stopped .* annotate inferenceservice assistant \S*stop-"):
        cluster.serving().capacity()
    assert cluster.replicas("assistant") is None


def test_gpus_are_counted_on_the_node_that_has_most_free(cluster: Cluster) -> None:
    def node(name: str, gpus: int, cordoned: bool = False) -> dict[str, Any]:
        status = {"allocatable": {"nvidia.com/gpu": str(gpus)}}
        return {"metadata": {"name": name}, "spec": {"unschedulable": cordoned}, "status": status}

    limits = {"resources": {"limits": {"nvidia.com/gpu": "2"}}}
    pods = [
        {"spec": {"nodeName": "a", "containers": [limits]}, "status": {"phase": "Running"}},
        {"spec": {"nodeName": "b", "containers": [limits]}, "status": {"phase": "Succeeded"}},
    ]
    nodes = [node("a", 4), node("b", 1), node("c", 8, cordoned=True)]
    cluster.change(answers={"get nodes": json.dumps({"items": nodes}), "get pods": json.dumps({"items": pods})})
    found = cluster.serving().capacity()
    assert (found.gpus, found.free_gpus, found.running, found.replicas) == (2, 2, True, 1)
    cluster.service("assistant", 3, 3)
    found = cluster.serving().capacity()
    assert (found.replicas, found.gap) == (3, False)


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_models_of_the_shipped_stacks_can_be_promoted_and_are_held_to_a_digest(stack: str) -> None:
    """And where GPUs serve, no autoscaler acts on the use of the CPU, and one is left for the next version."""
    mine = from_file(ROOT / f"Pulumi.{stack}.yaml")
    assert mine.served
    for model in mine.served:
        assert place.registered(model) == (model.name, "champion")
        assert not model.gpus or model.min_replicas == model.max_replicas
    assert sum(model.gpus * model.max_replicas for model in mine.served) <= max(mine.gpu_count - 1, 0)


def test_a_model_of_a_fixed_version_is_not_promoted() -> None:
    mine = settings()
    with pytest.raises(InputError, match="write uri: models:/classifier@champion, and promote moves that alias"):
        place.registered(mine.models[1])
    with pytest.raises(InputError, match="is no model of this stack; models of this stack: assistant, classifier"):
        place.model_of(mine, "another")
