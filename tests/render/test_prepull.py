"""Images fetched beforehand: those of the stack's models, where these will run, by pods that any namespace bears."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster import versions
from cluster.render import prepull
from cluster.render.values import kserve_runtime_configs
from cluster.settings.model import Settings
from tests.render.stacks import settings

LLM = {"name": "assistant", "uri": "s3://models/assistant/1", "gpus": 1}
CLASSIFIER = {"name": "classifier", "uri": "models:/classifier/3", "runtime": "mlserver"}
EMBEDDER = {"name": "embedder", "uri": "hf://owner/embedder", "runtime": "huggingface"}


def images(spec: dict[str, Any]) -> list[str]:
    return [each["image"] for each in spec["template"]["spec"]["initContainers"]]


def pins(*names: str) -> list[str]:
    return sorted(versions.IMAGES[name] for name in names)


def test_an_llm_server_goes_to_gpu_nodes_only() -> None:
    made = prepull.daemon_sets(settings(models=[LLM, CLASSIFIER]))
    assert images(made["gpu-nodes"]) == pins("vllm"), "what fetches it is on all nodes already"
    pod = made["gpu-nodes"]["template"]["spec"]
    assert pod["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert [each["key"] for each in pod["tolerations"]] == ["nvidia.com/gpu"]
    assert images(made["nodes"]) == pins("mlserver", "mlflow")
    assert not {"nodeSelector", "tolerations"} & made["nodes"]["template"]["spec"].keys()


def of_kserve(image: str, runtime: str, gpus: int) -> str:
    """Return the image that KServe has a pod run (v0.20.0, inferenceservice/utils/utils.go, UpdateImageTag)."""
    if gpus and runtime == "huggingface":
        return f"{image}-gpu"
    name, _, tag = image.rpartition(":")
    return f"{name}-cpu:{tag}" if runtime == "vllm" and not gpus else image


@pytest.mark.parametrize("mirror", [{}, {"mirror": "registry.site:5000/cloud"}], ids=["internet", "mirror"])
@pytest.mark.parametrize(("runtime", "gpus"), [("vllm", 1), ("huggingface", 1), ("huggingface", 0), ("mlserver", 0)])
def test_what_is_fetched_is_what_kserve_runs(runtime: str, gpus: int, mirror: dict[str, str]) -> None:
    mine = settings(models=[{"name": "a", "uri": "models:/a@b", "runtime": runtime, "gpus": gpus}], registry=mirror)
    runtimes = kserve_runtime_configs.values(mine)["kserve"]["servingruntime"]
    named = runtimes[{"vllm": "vllmserver", "huggingface": "huggingfaceserver"}.get(runtime, runtime)]
    (nodes,) = prepull.daemon_sets(mine).values()
    assert of_kserve(f"{named['image']}:{named['tag']}", runtime, gpus) in images(nodes)


def test_nothing_is_fetched_that_no_model_uses() -> None:
    assert prepull.daemon_sets(settings(models=[])) == {}
    assert prepull.daemon_sets(settings(serving={"prepull": False})) == {}
    assert list(prepull.daemon_sets(settings(models=[LLM]))) == ["gpu-nodes"]
    own = {"image": "registry.site/team/server:1"}
    custom = {"name": "own", "uri": "pvc://claim/model", "runtime": "custom", "container": own}
    assert prepull.daemon_sets(settings(models=[custom])) == {}
    assert images(prepull.daemon_sets(settings(models=[EMBEDDER]))["nodes"]) == pins(
        "kserve-huggingfaceserver", "kserve-storage-initializer"
    )


def test_a_model_that_falls_back_to_the_cpu_is_fetched_for_the_cpu() -> None:
    fallback = LLM | {"when_no_gpu": "cpu", "gpus": 4}
    assert list(prepull.daemon_sets(settings(models=[fallback]))) == ["nodes"]


MODELS = st.lists(st.sampled_from([LLM, CLASSIFIER, EMBEDDER]), unique_by=lambda each: each["name"])


@given(MODELS, st.booleans())
def test_every_pod_fits_the_restricted_level_and_comes_from_the_mirror(models: list[Any], mirror: bool) -> None:
    wanted: Settings = settings(models=models, registry={"mirror": "registry.site:5000/cloud"} if mirror else {})
    for spec in prepull.daemon_sets(wanted).values():
        pod = spec["template"]["spec"]
        assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
        assert (pod["securityContext"]["runAsNonRoot"], pod["automountServiceAccountToken"]) == (True, False)
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in [*pod["initContainers"], *pod["containers"]]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert container["image"].startswith("registry.site:5000/cloud/") == mirror
        assert len({each["name"] for each in pod["initContainers"]}) == len(set(images(spec))) == len(images(spec))
