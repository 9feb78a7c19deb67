"""InferenceServices, load tests, alert rules and dashboards: pure data with a few laws."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cluster.render import alert_rules, dashboards, inference_service, load_test
from cluster.settings.model import Model


def model(**changes: Any) -> Model:
    base = {"name": "assistant", "uri": "s3://models/assistant/1", "version": "1"}
    return Model.model_validate(base | changes)


def test_an_llm_asks_for_its_gpus_and_spreads_over_them() -> None:
    predictor = inference_service.spec(model(gpus=2), "account")["predictor"]
    served = predictor["model"]
    assert served["resources"]["limits"] == {"cpu": "4", "memory": "16384Mi", "nvidia.com/gpu": "2"}
    assert served["args"] == ["--tensor-parallel-size=2"]
    assert served["runtime"] == "kserve-vllmserver"
    assert predictor["deploymentStrategy"] == {"type": "Recreate"}
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
    assert inference_service.service_annotations(mine)["serving.kserve.io/autoscalerClass"] == scaler


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


def test_rules_of_gpus_only_where_there_are_gpus() -> None:
    assert "gpus" not in alert_rules.rules("")
    group = alert_rules.rules("dcgm")["gpus"]["groups"][0]
    assert all('{job="dcgm"}' in rule["expr"] for rule in group["rules"])


def test_every_alert_says_what_is_wrong() -> None:
    rules = [rule for file in alert_rules.rules("dcgm").values() for group in file["groups"] for rule in group["rules"]]
    names = [rule["alert"] for rule in rules]
    assert len(set(names)) == len(names) >= 8
    assert all(rule["annotations"]["summary"] and rule["labels"]["severity"] for rule in rules)


@pytest.mark.parametrize(
    "dashboard", [dashboards.gpus(), dashboards.serving(), dashboards.platform(), dashboards.comparison("slurm")]
)
def test_dashboards_are_valid_and_stable(dashboard: tuple[str, list[dashboards.Panel]]) -> None:
    text = dashboards.render(dashboard, "source")
    got = json.loads(text)
    assert text == dashboards.render(dashboard, "source")
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in got["panels"]]
    assert len(set(places)) == len(places)
    for panel in got["panels"]:
        assert panel["datasource"]["uid"] == "source"
        for target in panel["targets"]:
            assert target["expr"].count("(") == target["expr"].count(")"), panel["title"]
            assert target["expr"].count("{") == target["expr"].count("}"), panel["title"]


def test_a_comparison_draws_both_clusters() -> None:
    for panel in dashboards.comparison("slurm")[1]:
        ours, theirs = panel.queries
        assert 'cluster!="slurm"' in ours[0]
        assert 'cluster="slurm"' in theirs[0]
