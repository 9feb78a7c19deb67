"""The gate's arithmetic, and what an answer has to be."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.promotion.gate import judge, percentile
from cluster.promotion.model import Gate, PromotionError, Sample, Version
from cluster.promotion.probe import HttpProbe, _formless, _unlike, _zeros, question_for
from cluster.settings.model import Model
from tests.loadtest.model_server import serving

times = st.lists(st.floats(0.1, 10_000), min_size=20, max_size=200)


def ok(values: list[float]) -> list[Sample]:
    return [Sample(value, True) for value in values]


@given(times, st.floats(0.01, 1))
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)
    assert sum(value < found for value in values) < share * len(values)


@given(times)
def test_a_version_as_quick_as_the_running_one_passes(values: list[float]) -> None:
    assert judge(Gate(samples=20), ok(values), ok(values)).passed


@given(times, st.floats(1, 3), st.floats(0, 50))
def test_a_version_slower_than_allowed_does_not(values: list[float], ratio: float, slack: float) -> None:
    gate = Gate(samples=20, ratio=ratio, slack_ms=slack)
    slower = [value * ratio * 1.01 + slack + 0.01 for value in values]
    verdict = judge(gate, ok(slower), ok(values))
    assert len(verdict.reasons) == 1 and "is above" in verdict.reasons[0]


def test_a_version_that_fails_at_once_is_not_quick() -> None:
    failing = [Sample(0.1, False)] * 50 + ok([1.0] * 50)
    verdict = judge(Gate(samples=20), failing, ok([10.0] * 100))
    assert verdict.reasons == ("50.0% of its requests failed, of the running version's 0.0%",)


def test_all_that_fail_do_not_pass_for_want_of_times() -> None:
    assert not judge(Gate(samples=20), [Sample(0.1, False)] * 20, []).passed


def test_too_few_samples_decide_nothing() -> None:
    assert judge(Gate(samples=100), ok([1.0] * 20), ok([1.0] * 20)).reasons == ("only 20 of 100 requests were made",)


def test_without_a_running_version_only_errors_count() -> None:
    assert judge(Gate(samples=20), ok([9_999.0] * 20), []).passed


@pytest.mark.parametrize(
    ("said", "expect", "wrong"),
    [
        ({"outputs": [{"data": [1, 2], "name": "x"}]}, {"outputs": [{"data": [1, 2]}]}, []),
        ({"outputs": [{"data": [1, 3]}]}, {"outputs": [{"data": [1, 2]}]}, ["answer.outputs[0].data[1] is 3"]),
        ({"outputs": []}, {"outputs": [{}]}, ["answer.outputs has 0 items"]),
        ({}, {"outputs": []}, ["answer.outputs is missing"]),
        ({"a": 1.0000001}, {"a": 1}, []),
        ({"a": float("nan")}, {"a": 1}, ["answer.a is nan"]),
        ({"a": True}, {"a": 1}, ["answer.a is True"]),
        ({"a": "yes"}, {"a": "no"}, ["answer.a is 'yes'"]),
    ],
)
def test_an_answer_is_held_to_what_is_expected(said: Any, expect: Any, wrong: list[str]) -> None:
    found = _unlike(said, expect, 1e-6)
    assert len(found) == len(wrong)
    assert all(each.startswith(start) for each, start in zip(found, wrong, strict=True))


@pytest.mark.parametrize(
    "said",
    [{}, [], {"outputs": []}, {"outputs": [{"data": []}]}, {"outputs": [{"data": [float("nan")]}]}, {"choices": [{}]}],
)
def test_an_answer_without_form_is_none(said: Any) -> None:
    assert _formless(said)


def test_inputs_are_made_from_what_the_model_says() -> None:
    described = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}]}
    assert _zeros(described) == [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [0, 0, 0]}]
    with pytest.raises(PromotionError, match="--smoke"):
        _zeros({"inputs": []})


def test_an_llm_is_asked_under_its_own_name() -> None:
    question = question_for(Model.model_validate({"name": "llm", "uri": "models:/llm@champion", "gpus": 1}))
    assert question is not None and (question.path, question.body["model"]) == ("/v1/completions", "llm")
    with pytest.raises(PromotionError, match="smoke request is"):
        question_for(Model.model_validate({"name": "a", "uri": "models:/a@b"}), {"reqest": {}})


VERSION = Version("iris", "2", "s3://models/iris/2", "d" * 64)
SIGNED = [{"name": "input-0", "shape": [1, 4], "datatype": "FP64", "data": [0.5] * 4}]


def test_scikit_learn_under_mlserver_does_not_say_what_it_takes_and_its_signature_does() -> None:
    """MLServer 1.7.1 answers ``"inputs": []`` for it."""
    with serving(metadata={"name": "iris", "inputs": []}) as url:
        silent = HttpProbe("iris")
        assert not silent.knows(VERSION) and not silent.learns(url)
        assert silent.alive(url) == [], "that it is ready it does say"
        signed = HttpProbe("iris", signature=lambda version: SIGNED if version == VERSION else [])
        assert signed.knows(VERSION) and signed.question is not None
        assert signed.question.body == {"inputs": SIGNED}
        assert signed.smoke(url) == []


def test_a_model_that_says_what_it_takes_is_asked_so() -> None:
    told = {"name": "iris", "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]}
    with serving(metadata=told) as url:
        probe = HttpProbe("iris")
        assert not probe.knows(VERSION) and probe.learns(url) and probe.smoke(url) == []


def test_where_nothing_answers_nothing_is_alive() -> None:
    probe = HttpProbe("iris", timeout_s=1)
    assert not probe.learns("http://127.0.0.1:9")
    assert "does not answer" in probe.alive("http://127.0.0.1:9")[0]
