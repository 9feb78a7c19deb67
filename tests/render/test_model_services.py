"""InferenceServices, their monitors and load tests: pure data with a few laws."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.render import inference_service, load_test, storage_containers
from cluster.settings.model import Model, Registry
from cluster.settings.served import served
from tests.kserve.standin import reconcile
from tests.render.stacks import settings


def model(**changes: Any) -> Model:
    base = {"name": "assistant", "uri": "s3://models/assistant/1", "version": "1"}
    return Model.model_validate(base | changes)


def test_an_llm_asks_for_its_gpus_and_spreads_over_them() -> None:
    predictor = inference_service.spec(model(gpus=2), "account")["predictor"]
    served = predictor["model"]
    assert served["resources"]["limits"] == {"cpu": "4", "memory": "16384Mi", "nvidia.com/gpu": "2"}
    assert served["args"] == ["--served-model-name=assistant", "--tensor-parallel-size=2"]
    assert served["runtime"] == "kserve-vllmserver"
    # one pod after the other, and each frees its GPU before the next one asks for it
    rolling = {"maxSurge": 0, "maxUnavailable": 1}
    assert predictor["deploymentStrategy"] == {"type": "RollingUpdate", "rollingUpdate": rolling}
    assert predictor["serviceAccountName"] == "account"
    patience = served["startupProbe"]["periodSeconds"] * served["startupProbe"]["failureThreshold"]
    assert patience == 30 * 60


def test_a_cpu_model_rolls_over_and_speaks_v2() -> None:
    predictor = inference_service.spec(model(runtime="mlflow", max_replicas=3), "account")["predictor"]
    assert "deploymentStrategy" not in predictor
    assert predictor["model"]["protocolVersion"] == "v2"
    assert predictor["model"]["readinessProbe"]["httpGet"]["path"] == "/v2/models/assistant/ready"
    assert (predictor["scaleMetric"], predictor["maxReplicas"]) == ("cpu", 3)


@pytest.mark.parametrize(
    ("least", "most", "scaler"), [(1, 1, "none"), (1, 3, "hpa"), (0, 1, "external"), (2, 2, "none")]
)
def test_who_scales_a_model(least: int, most: int, scaler: str) -> None:
    mine = model(min_replicas=least, max_replicas=most)
    annotations = inference_service.service_annotations(mine)
    assert annotations["serving.kserve.io/autoscalerClass"] == scaler
    service = {"metadata": {"annotations": annotations}, "spec": inference_service.spec(mine, "account")}
    state: dict[str, Any] = {"services": {"assistant": service}, "deployments": {}}
    reconcile(state, 0.0)
    pods = sum(len(each["pods"]) for each in state["deployments"].values())
    assert pods == least, "min_replicas: 0 takes no GPU"


VLLM_STARTUP = {
    "failureThreshold": 60,
    "httpGet": {"path": "/v1/models", "port": 8080},
    "initialDelaySeconds": 30,
    "periodSeconds": 30,
    "successThreshold": 1,
    "timeoutSeconds": 10,
}
"""startupProbe of KServe's runtime kserve-vllmserver (v0.20.0, chart kserve-runtime-configs, resources.yaml)."""


def test_a_model_is_ready_as_soon_as_it_answers() -> None:
    """KServe merges our probe into the runtime's, key by key: what ours leaves out stays, and so did half a minute."""
    ours = inference_service.spec(model(gpus=1), "account")["predictor"]["model"]["startupProbe"]
    merged = VLLM_STARTUP | ours
    assert merged["initialDelaySeconds"] <= 1
    assert merged["periodSeconds"] * merged["failureThreshold"] == 1800


def test_a_quantised_llm_says_so_to_vllm() -> None:
    served = inference_service.spec(model(gpus=1, quantization="awq"), "account")["predictor"]["model"]
    assert served["args"] == ["--served-model-name=assistant", "--quantization=awq"]


def test_a_container_of_ones_own_gets_the_model_and_its_probes() -> None:
    container = {"image": "quay.io/me/server:1.2", "port": 9000, "env": {"WORKERS": "2"}, "ready": "/healthz"}
    mine = model(runtime="custom", container=container)
    predictor = inference_service.spec(mine, "account", registry=Registry(mirror="mirror:5000/x"))["predictor"]
    (own,) = predictor["containers"]
    assert "model" not in predictor
    assert own["image"] == "mirror:5000/x/me/server:1.2"
    assert {"name": "STORAGE_URI", "value": "s3://models/assistant/1"} in own["env"]
    assert own["readinessProbe"]["httpGet"] == {"path": "/healthz", "port": 9000}
    assert inference_service.ready_url(mine).endswith(".cluster.local/healthz")


def test_annotations_carry_what_the_fetching_pod_needs() -> None:
    digest = "a" * 64
    found = inference_service.service_annotations(model(digest=digest, cache=True))
    container = storage_containers.storage_containers(settings(), "http://mlflow")[0].spec["container"]
    fields = [each["valueFrom"]["fieldRef"]["fieldPath"] for each in container["env"] if "fieldRef" in str(each)]
    asked = {field.removeprefix("metadata.annotations['").removesuffix("']") for field in fields}
    assert asked <= found.keys() and len(asked) == 3
    assert found["inference-cloud/model-digest"] == digest


def test_a_route_shares_out_requests() -> None:
    spec = inference_service.route_spec(model(timeout=30), "models.internal", {"name": "cloud"}, candidate=20)
    (rule,) = spec["rules"]
    assert [(each["name"], each["weight"]) for each in rule["backendRefs"]] == [
        ("assistant-predictor", 80),
        ("assistant-candidate-predictor", 20),
    ]
    assert rule["timeouts"] == {"request": "30s"}


@given(
    wishes=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans()), max_size=6),
    gpus=st.integers(0, 8),
)
def test_the_models_that_are_served_ask_for_no_gpu_that_is_not_there(
    wishes: list[tuple[int, int, bool]], gpus: int
) -> None:
    models = [
        model(name=f"m{index}", gpus=each, min_replicas=least, max_replicas=3, when_no_gpu="cpu" if soft else "refuse")
        for index, (each, least, soft) in enumerate(wishes)
    ]
    found = served(models, gpus)
    assert [each.name for each in found] == [each.name for each in models]
    assert all(mine == written for mine, written in zip(found, models, strict=True) if written.when_no_gpu == "refuse")
    hard = sum(each.gpus * each.min_replicas for each in models if each.when_no_gpu == "refuse")
    assert sum(each.gpus * each.min_replicas for each in found) <= max(gpus, hard)
    assert served(models, None) == tuple(models)
    if sum(each.gpus * max(each.min_replicas, 1) for each in models) <= gpus:
        assert found == tuple(models), "there is room for all, and one fell back"


def test_where_a_model_answers() -> None:
    assert inference_service.ready_url(model()) == "http://assistant-predictor.models.svc.cluster.local/v1/models"
    assert inference_service.outside_host(model(), "models.internal") == "assistant-models.models.internal"


def test_the_load_asks_for_more_than_the_target() -> None:
    mine = model(gpus=2, min_replicas=2)
    limits, plan = json.loads(load_test.thresholds(mine)), json.loads(load_test.plan(mine))
    assert limits == {"http_req_duration": ["p(95)<500"], "http_req_failed": ["rate<0.01"], "http_reqs": ["rate>200"]}
    assert plan["scenario"]["rate"] == 240
    assert plan["url"].endswith("/v1/completions")
    assert json.loads(plan["body"])["model"] == "assistant"


def test_a_model_of_unknown_input_is_asked_whether_it_is_ready() -> None:
    plan = json.loads(load_test.plan(model(runtime="mlserver")))
    assert (plan["method"], plan["body"]) == ("GET", None)
    assert plan["url"].endswith("/v2/models/assistant/ready")


def test_a_models_pods_are_measured_at_the_port_of_their_runtime() -> None:
    container = {"image": "quay.io/me/server:1.2", "port": 9000}
    for mine, port in (
        (model(gpus=1), 8080),
        (model(runtime="mlflow"), 8082),
        (model(runtime="mlserver"), 8082),
        (model(runtime="huggingface"), 8080),
        (model(runtime="custom", container=container), 9000),
    ):
        (endpoint,) = inference_service.monitor_spec(mine)["podMetricsEndpoints"]
        address = next(each for each in endpoint["relabelings"] if each.get("targetLabel") == "__address__")
        assert address["replacement"] == f"$1:{port}", mine.runtime
        assert "port" not in endpoint, "no container of KServe's runtimes declares one"


def test_a_version_under_test_is_measured_under_its_own_name() -> None:
    spec = inference_service.monitor_spec(model())
    (chosen,) = spec["selector"]["matchExpressions"]
    assert chosen["values"] == ["assistant", "assistant-candidate"]
    assert spec["podMetricsEndpoints"][0]["relabelings"][-1]["targetLabel"] == "model"


def test_a_standby_with_another_server_is_measured_at_the_port_of_that() -> None:
    variant = {"uri": "models:/small/1", "runtime": "mlflow"}
    spec = inference_service.monitor_spec(model(gpus=1, standby="cpu", cpu_variant=variant))
    assert spec["selector"]["matchExpressions"][0]["values"][-1] == "assistant-standby"
    found = {}
    for endpoint in spec["podMetricsEndpoints"]:
        kept = [each["regex"] for each in endpoint["relabelings"] if each.get("action") == "keep"][-1]
        address = next(each for each in endpoint["relabelings"] if each.get("targetLabel") == "__address__")
        found[kept] = address["replacement"]
    assert found == {"assistant|assistant-candidate": "$1:8080", "assistant-standby": "$1:8082"}
