"""When what was made: read from a journal, from state and history; hours in which nothing ran are cut out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudctl.reporting.timeline import Axis, Run, Span, from_journal, from_state, rows, runs_of
from tests.cloudctl import states

moments = st.floats(0, 1e6, allow_nan=False)


def _made(*seconds: float) -> dict[str, Any]:
    """Return the whole stack's state with the moment at which each resource was done, one after the other needed."""
    export = states.whole()
    items = [item for item in export["deployment"]["resources"] if item.get("custom")][: len(seconds)]
    for number, (item, at) in enumerate(zip(items, seconds, strict=True)):
        item["created"] = f"2026-11-29T03:{int(at) // 60:02}:{at % 60:09.6f}Z"
        item["dependencies"] = [items[number - 1]["urn"]] if number else []
    return export


def _at(second: float) -> float:
    from datetime import datetime

    return datetime.fromisoformat("2026-11-29T03:00:00+00:00").timestamp() + second


def test_a_resource_begins_when_what_it_needs_is_done_and_not_before_its_update() -> None:
    spans = from_state(_made(10, 25, 3000), [Run(_at(2), _at(60), "failed"), Run(_at(2990), _at(3010), "succeeded")])
    assert [(round(span.begin - _at(0), 3), round(span.end - _at(0), 3)) for span in spans] == [
        (2, 10),
        (10, 25),
        (2990, 3000),
    ]


def test_without_its_update_on_record_nothing_is_said_of_a_resource() -> None:
    assert from_state(_made(10, 25), []) == []
    assert len(from_state(_made(10, 25), [Run(_at(20), _at(30), "succeeded")])) == 1


def test_previews_and_unfinished_updates_are_no_runs() -> None:
    history = [
        {
            "kind": "update",
            "startTime": "2026-11-29T03:10:00.000Z",
            "endTime": "2026-11-29T03:20:00.000Z",
            "result": "failed",
        },
        {
            "kind": "preview",
            "startTime": "2026-11-29T03:00:00.000Z",
            "endTime": "2026-11-29T03:01:00.000Z",
            "result": "succeeded",
        },
        {
            "kind": "update",
            "startTime": "2026-11-29T03:00:00.000Z",
            "endTime": "2026-11-29T03:05:00.000Z",
            "result": "succeeded",
        },
        {"kind": "update", "startTime": "2026-11-29T04:00:00.000Z", "result": "in-progress"},
    ]
    assert [run.result for run in runs_of(history)] == ["succeeded", "failed"]


def test_the_journal_tells_how_each_resource_that_is_there_was_made_and_what_failed() -> None:
    export = states.whole()
    (release, *_) = [item for item in export["deployment"]["resources"] if item["type"].endswith(":Release")]
    urn, lost = release["urn"], release["urn"].replace("::gpu-operator", "::another")
    entries = [
        {"op": "create", "urn": urn, "begin": 1.0, "end": 2.0, "result": "failed"},
        {"op": "create", "urn": urn, "begin": 5.0, "end": 9.0, "result": "ok"},
        {"op": "update", "urn": urn, "begin": 50.0, "end": 51.0, "result": "ok"},
        {"op": "create", "urn": lost, "begin": 6.0, "end": 7.0, "result": "failed"},
        {"op": "create", "urn": "urn:pulumi:prod::p::other:x:Y::nobody", "begin": 0.0, "end": 9.0, "result": "ok"},
        {"op": "delete", "urn": urn, "begin": 0.0, "end": 9.0, "result": "ok"},
    ]
    text = "\n".join(json.dumps(entry) for entry in entries) + '\n{"op": "cre'
    found = {(span.urn, span.begin, span.end, span.result) for span in from_journal(text, export)}
    assert found == {(urn, 5.0, 9.0, "ok"), (urn, 1.0, 2.0, "failed"), (lost, 6.0, 7.0, "failed")}
    assert {span.task for span in from_journal(text, export)} == {"CLOUD-2.2"}


def _span(begin: float, end: float, task: str = "CLOUD-2.1") -> Span:
    return Span(f"urn:pulumi:s::p::a:b:C::{begin}", task, begin, end)


def test_hours_in_which_nothing_ran_are_cut_out_and_told() -> None:
    data = rows([_span(0, 100), _span(90, 160), _span(20000, 20040, "CLOUD-3.1")])
    assert data["busy_s"] == 200
    (cut,) = data["cuts"]
    assert cut["seconds"] == 19840
    first, second = data["tasks"]
    assert first["end"] < cut["at"] < second["begin"]
    assert [first["seconds"], second["seconds"]] == [160, 40]
    assert second["end"] == pytest.approx(1)


def test_a_short_pause_is_no_cut_and_does_not_count_as_work() -> None:
    data = rows([_span(0, 10), _span(15, 20)])
    assert data["cuts"] == []
    assert data["tasks"][0]["seconds"] == 15
    assert data["busy_s"] == 20


def test_nothing_made_is_no_chart() -> None:
    assert rows([]) == {"tasks": [], "phases": [], "busy_s": 0, "began": None, "cuts": [], "ticks": []}


@given(st.lists(st.tuples(moments, st.floats(0, 5000)), min_size=1, max_size=12))
def test_places_keep_the_order_of_moments_and_lie_on_the_axis(pairs: list[tuple[float, float]]) -> None:
    spans = [_span(begin, begin + length) for begin, length in pairs]
    axis = Axis.of(spans)
    ends = sorted(moment for span in spans for moment in (span.begin, span.end))
    places = [axis.place(moment) for moment in ends]
    assert places == sorted(places)
    assert all(-1e-9 <= place <= 1 + 1e-9 for place in places)
    assert axis.busy <= ends[-1] - ends[0] + 1e-6
    assert all(seconds >= Axis.LONG_S for _, seconds in axis.cuts)
    data = rows(spans)
    assert len(data["ticks"]) <= 7 or axis.busy > 36000 * 6
    assert data["tasks"][0]["seconds"] <= round(axis.busy, 3) + 1e-3
