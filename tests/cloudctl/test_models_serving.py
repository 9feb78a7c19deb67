"""What a promotion tells the cluster: a stand-in for kubectl that keeps objects and writes down what it was told."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from cloudctl.promoting import place
from cloudctl.promoting.kube import CANDIDATE_OF, ClusterServing
from cluster.problems import InputError
from cluster.promotion.model import PromotionError, Version
from tests.render.stacks import settings

KUBECTL = """\
#!{python}
import json, sys
from pathlib import Path
here = Path({here!r})
words = sys.argv[1:]
given = sys.stdin.read() if "-" in words else ""
with (here / "told").open("a") as log:
    log.write(json.dumps([words, given]) + "\\n")
world = json.loads((here / "world").read_text())
text = " ".join(words)
for start, answer in world.items():
    if start in text:
        if answer.startswith("!"):
            sys.exit(answer[1:])
        print(answer)
        break
if "annotate" in words:  # KServe hands the annotation on to the pods
    mark = next(word for word in words if word.startswith("inference-cloud/restarted-at"))
    key, _, value = mark.partition("=")
    world["get deployment"] = json.dumps({{"spec": {{"template": {{"metadata": {{"annotations": {{key: value}}}}}}}}}})
    (here / "world").write_text(json.dumps(world))
if "apply" in words:
    marks = json.loads(given)["metadata"]["annotations"]
    world["get deployment"] = json.dumps({{"spec": {{"template": {{"metadata": {{"annotations": marks}}}}}}}})
    (here / "world").write_text(json.dumps(world))
"""

VERSION = Version("assistant", "7", "s3://models/assistant/7", "d" * 64)


class Cluster:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        program = folder / "kubectl"
        program.write_text(KUBECTL.format(python=sys.executable, here=str(folder)))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        self.world()

    def world(self, **answers: str) -> None:
        """Say what kubectl answers to the first of these words that it is told."""
        named = {key.replace("_", " "): value for key, value in answers.items()}
        (self.folder / "world").write_text(json.dumps(named))

    @property
    def told(self) -> list[tuple[list[str], str]]:
        log = self.folder / "told"
        return [tuple(json.loads(line)) for line in log.read_text().splitlines()] if log.is_file() else []

    def serving(self, index: int = 0, **changes: Any) -> ClusterServing:
        mine = settings(**changes)
        return ClusterServing(mine, mine.models[index], self.folder / "kubeconfig", 5.0)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(tmp_path, monkeypatch)


def test_a_candidate_is_a_fixed_version_with_its_digest_and_our_mark(cluster: Cluster) -> None:
    cluster.serving().deploy(VERSION)
    words, given = cluster.told[0]
    assert words[-5:] == ["apply", "--server-side", "--field-manager=cloudctl", "-f", "-"]
    made = json.loads(given)
    assert made["metadata"]["name"] == "assistant-candidate"
    assert made["metadata"]["labels"][CANDIDATE_OF] == "assistant"
    assert made["metadata"]["annotations"]["inference-cloud/model-digest"] == VERSION.digest
    predictor = made["spec"]["predictor"]
    assert predictor["model"]["storageUri"] == "models:/assistant/7"
    assert (predictor["minReplicas"], predictor["maxReplicas"], predictor["storageContainerName"]) == (1, 1, "mlflow")
    assert "--served-model-name=assistant" in predictor["model"]["args"], "clients ask for the model by its name"


def test_only_what_carries_our_mark_is_deleted(cluster: Cluster) -> None:
    cluster.serving().remove()
    ((words, _),) = cluster.told
    assert words[words.index("delete") :][:4] == ["delete", "inferenceservice", "-l", f"{CANDIDATE_OF}=assistant"]


def test_a_share_is_a_weight_of_the_route(cluster: Cluster) -> None:
    cluster.serving().share(20)
    ((words, _),) = cluster.told
    backends = json.loads(words[-1])["spec"]["rules"][0]["backendRefs"]
    assert [each["weight"] for each in backends] == [80, 20]
    assert "httproute" in words and "--type=merge" in words


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
    ((words, _),) = cluster.told
    backends = json.loads(words[-1])["spec"]["rules"][0]["backendRefs"]
    assert [(each["kind"], each["name"], each["weight"]) for each in backends] == [
        ("Backend", "assistant-predictor", 80),
        ("Backend", "assistant-candidate-predictor", 20),
        ("Backend", "assistant-standby-predictor", 1),
    ]


def test_a_restart_waits_until_kserve_has_taken_it_over(cluster: Cluster) -> None:
    cluster.serving().restart(VERSION)
    verbs = [words[4] for words, _ in cluster.told]
    assert verbs == ["annotate", "get", "rollout"]


def test_a_version_that_does_not_get_ready_says_why(cluster: Cluster) -> None:
    cluster.world(rollout="!error: deployment exceeded its progress deadline", logs="refused to serve: weights differ")
    with pytest.raises(PromotionError, match=r"progress deadline; its download said: refused to serve: weights differ"):
        cluster.serving().restart(VERSION)


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
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    cluster.world(
        get_nodes=json.dumps({"items": nodes}),
        get_pods=json.dumps({"items": pods}),
        get_inferenceservice=json.dumps(ready),
    )
    found = cluster.serving().capacity()
    assert (found.gpus, found.free_gpus, found.running) == (2, 2, True)


def test_a_model_of_a_fixed_version_is_not_promoted() -> None:
    mine = settings()
    with pytest.raises(InputError, match="write uri: models:/classifier@champion, and promote moves that alias"):
        place.registered(mine.models[1])
    with pytest.raises(InputError, match="is no model of this stack; models of this stack: assistant, classifier"):
        place.model_of(mine, "another")
