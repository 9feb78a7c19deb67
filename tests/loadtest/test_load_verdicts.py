"""Verdicts and what they lead to: every rule, and that a met target leads to nothing."""

from __future__ import annotations

import pytest

from cluster.loadtest import judge, recommend, stackline, targets
from cluster.loadtest.figures import Figure, unasked
from cluster.loadtest.judge import Verdict
from cluster.loadtest.recommend import Advice
from cluster.loadtest.samples import Run, Sample
from cluster.settings.model import Model

STACK = """\
config:
  inference-cloud:models:
    - name: other
      gpus: 0
    - name: assistant
      uri: s3://models/assistant/1
      gpus: 1
      cores: 4
      min_replicas: 1
      max_replicas: 2
"""
GOOD = {"p95": 100.0, "rate": 60.0, "failed": 0.0, "gpu_utilisation": 80.0, "cold_start": 5.0, "pod_start": 8.0}


def verdicts(**figures: float | Figure | None) -> list[Verdict]:
    """Verdicts of a model that must answer 50 requests a second; all good but for what is given."""
    every: dict[str, Figure] = {name: Figure(value) for name, value in GOOD.items()} | {"scale_out": Figure(60)}
    for name, value in figures.items():
        every[name] = value if isinstance(value, Figure) else Figure(value, "" if value is not None else "no idea")
    return judge.judge(targets.table(50), every)


def advice(
    errors: dict[str, int] | None = None,
    tool: str | None = None,
    model: dict[str, object] | None = None,
    **figures: object,
) -> list[Advice]:
    settings = {"name": "assistant", "uri": "s3://models/assistant/1", "version": "1", "runtime": "vllm", "gpus": 1}
    made = Model.model_validate(settings | {"max_replicas": 2} | (model or {}))
    lines = stackline.find(STACK, "Pulumi.prod.yaml", "assistant")
    found = verdicts(**figures)  # type: ignore[arg-type]
    return recommend.advise(recommend.case(made, lines, found, errors or {}, tool))


def test_targets_are_kept_on_their_own_side() -> None:
    assert [each.verdict for each in verdicts()] == ["met"] * 7
    missed = verdicts(p95=500.0, rate=50.0, gpu_utilisation=70.0, cold_start=10.0)
    assert {each.target.name for each in missed if each.verdict == "missed"} == {
        "p95",
        "rate",
        "gpu_utilisation",
        "cold_start",
    }


def test_what_is_not_known_is_neither_met_nor_missed() -> None:
    found = {each.target.name: each for each in verdicts(gpu_utilisation=None, scale_out=unasked("--scale-out"))}
    assert (found["gpu_utilisation"].verdict, found["gpu_utilisation"].why) == ("unknown", "no idea")
    assert (found["scale_out"].verdict, found["scale_out"].asked) == ("unknown", False)


def test_targets_without_a_figure_are_left_out() -> None:
    """A model on the CPU has no GPU to be idle."""
    found = judge.judge(targets.table(20), {"p95": Figure(1.0)})
    assert [each.target.name for each in found] == ["p95"]


def run(processor: float = 5.0, late: float = 0.0, ms: float = 900.0) -> Run:
    return Run(tuple(Sample(n / 60, late, ms, 200, "") for n in range(60)), 0, 1.0, processor)


def test_a_tool_without_a_processor_makes_latency_and_rate_unknown_but_not_the_errors() -> None:
    found = judge.of_run(run(processor=97), 60, 50)
    assert (found["p95"].value, found["rate"].value, found["failed"].value) == (None, None, 0)
    assert "locust itself" in found["p95"].why


def test_late_requests_of_a_slow_model_are_the_models() -> None:
    found = judge.of_run(run(late=0.5), 60, 50)
    assert found["p95"].value == 900
    assert found["rate"].value is not None and "late" in found["rate"].why


def test_a_load_under_the_target_says_nothing_about_the_rate() -> None:
    found = judge.of_run(run(), 10, 50)["rate"]
    assert (found.value, found.asked) == (None, False)
    assert judge.of_run(run(), None, 50)["rate"].value is not None


def test_nothing_is_advised_where_all_is_met() -> None:
    assert advice() == []


def test_slow_with_an_idle_gpu_wants_cores_and_more_at_once() -> None:
    found = advice(p95=900.0, gpu_utilisation=20.0)
    assert found[0].where == "Pulumi.prod.yaml:8: models[1].cores: 4 -> 8"
    assert "--users" in found[1].where
    assert not any("quantization" in each.where for each in found)


def test_slow_with_a_busy_gpu_wants_replicas_or_smaller_weights() -> None:
    found = advice(p95=900.0, gpu_utilisation=95.0)
    assert found[0].where == "Pulumi.prod.yaml:9: models[1].min_replicas: 1 -> 2"
    assert found[1].where == "Pulumi.prod.yaml:5: models[1].quantization: fp8 (a new line)"


def test_replicas_that_are_all_kept_already_are_allowed_to_be_more() -> None:
    found = advice(rate=40.0, gpu_utilisation=95.0, model={"min_replicas": 2})
    assert found[0].where == "Pulumi.prod.yaml:10: models[1].max_replicas: 2 -> 3"


def test_packed_weights_are_not_packed_again() -> None:
    assert len(advice(p95=900.0, gpu_utilisation=95.0, model={"quantization": "awq"})) == 1


def test_slow_without_knowing_the_gpu_wants_to_know_first() -> None:
    found = advice(p95=900.0, gpu_utilisation=None)
    assert [each.where for each in found] == ["cloudctl bench --prometheus URL"]


def test_slow_on_the_cpu_wants_cores() -> None:
    found = advice(p95=900.0, model={"gpus": 0, "runtime": "mlserver"})
    assert "cores" in found[0].where


def test_fast_with_an_idle_gpu_is_a_card_that_could_do_more() -> None:
    assert "share the card" in advice(gpu_utilisation=10.0)[0].what


@pytest.mark.parametrize(
    ("error", "where"),
    [
        ("HTTP 422", "--input FILE.json"),
        ("HTTP 503", "kubectl -n models get pods"),
        ("HTTP 500", "kubectl -n models logs deployment/assistant-predictor --tail=50"),
        ("no answer: refused", "cloudctl net check"),
    ],
)
def test_errors_lead_to_where_they_come_from(error: str, where: str) -> None:
    assert advice(errors={error: 9}, failed=50.0)[0].where == where


def test_a_slow_start_wants_the_model_and_the_images_near() -> None:
    assert [each.where for each in advice(cold_start=60.0)] == [
        "Pulumi.prod.yaml:5: models[1].cache: true (a new line)",
        "serving.prepull: true",
        "Pulumi.prod.yaml:9: models[1].min_replicas: 1 -> 2",
    ]
    cached = advice(cold_start=60.0, model={"cache": True, "min_replicas": 2})
    assert [each.where for each in cached] == ["serving.prepull: true"]


def test_replicas_without_a_place_want_a_worker() -> None:
    told = "at least: 1 of 3 ready by then: 0/2 nodes are available: 2 Insufficient nvidia.com/gpu."
    assert advice(scale_out=Figure(360, told))[0].what == "add a worker"


def test_an_autoscaler_that_stops_early_wants_its_line_changed() -> None:
    told = Figure(None, "its autoscaler stops at 2: set max_replicas to 3 or more")
    assert advice(scale_out=told)[0].where == "Pulumi.prod.yaml:10: models[1].max_replicas: 2 -> 3"


def test_a_tool_at_its_limit_is_moved() -> None:
    found = advice(tool="locust itself used 97 %", rate=None)
    assert "another machine" in found[0].where


def test_lines_are_of_the_right_model_and_none_of_a_file_without_it() -> None:
    found = stackline.find(STACK, "f", "other")
    assert found is not None and (found.index, found.first, found.lines["gpus"]) == (0, 3, 4)
    assert stackline.find(STACK, "f", "nobody") is None
    assert stackline.find("config:\n  inference-cloud:models: models.yaml\n", "f", "assistant") is None
    assert stackline.find("", "f", "assistant") is None


def test_the_load_test_in_the_cluster_has_the_same_targets() -> None:
    from cluster.render import load_test

    model = Model.model_validate({"name": "a", "uri": "s3://a/b", "version": "1", "gpus": 1, "min_replicas": 2})
    by_name = {each.name: each for each in targets.table(targets.required_rate(1, 2))}
    rules = load_test.thresholds(model)
    assert f'"p(95)<{by_name["p95"].bound:g}"' in rules
    assert f'"rate>{by_name["rate"].bound:g}"' in rules
    assert f'"rate<{by_name["failed"].bound / 100:g}"' in rules
