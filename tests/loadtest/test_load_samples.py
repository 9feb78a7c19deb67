"""The log of a load, read: a real one, and the laws of percentiles."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.loadtest import samples
from cluster.loadtest.samples import Run, Sample, percentile

CAPTURED = Path(__file__).parent / "captured"
NUMBERS = st.floats(0, 1e6, allow_nan=False)


@pytest.fixture
def captured() -> Run:
    """A run of locust 2.47 on MLServer 1.7 with scikit-learn: 60 requests a second, 1 s to warm up and 3 s measured."""
    summary = json.loads((CAPTURED / "locust-summary.json").read_text())
    return samples.parse((CAPTURED / "locust.log").read_text(), 3, summary)


def test_a_real_log_holds_every_request_and_tells_warm_up_from_measurement(captured: Run) -> None:
    assert (captured.warm_ups, len(captured.samples)) == (60, 180)
    assert captured.failed_percent == 0
    assert 59 <= captured.rate <= 60
    assert captured.tool_limit() is None


def test_the_schedule_is_constant(captured: Run) -> None:
    moments = [each.at for each in captured.samples]
    assert moments == pytest.approx([number / 60 for number in range(180)], abs=1e-3)


def test_our_percentiles_are_locusts_own_within_its_rounding(captured: Run) -> None:
    """Locust rounds to two digits, counts the warm-up, and takes the value one rank above the nearest."""
    own = json.loads((CAPTURED / "locust-summary.json").read_text())["locust"]
    every = sorted(json.loads(line)[2] for line in (CAPTURED / "locust.log").read_text().splitlines())
    for name, told in own.items():
        ours = percentile(every, float(name[1:]))
        above = every[every.index(ours) + 1]
        assert ours * 0.94 - 1 <= told <= above * 1.06 + 1


@given(st.lists(NUMBERS, min_size=1), st.floats(0.01, 100))
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(values: list[float], percent: float) -> None:
    found = percentile(values, percent)
    assert found in values
    share = sum(each <= found for each in values) / len(values)
    assert share >= percent / 100 - 1e-9
    under = sum(each < found for each in values) / len(values)
    assert under < percent / 100 + 1e-9


@given(st.lists(NUMBERS, min_size=1))
def test_percentiles_rise(values: list[float]) -> None:
    every = [percentile(values, each) for each in (0, 50, 95, 99, 100)]
    assert every == sorted(every)
    assert every[-1] == max(values)


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1.0], 101), ([1.0], -1)])
def test_no_percentile_of_nothing(values: list[float], percent: float) -> None:
    with pytest.raises(ValueError, match="no percentile"):
        percentile(values, percent)


def run(*every: Sample, seconds: float = 1.0, processor: float = 1.0) -> Run:
    return Run(every, 0, seconds, processor)


def good(at: float, ms: float = 10.0, late: float = 0.0) -> Sample:
    return Sample(at, late, ms, 200, "")


def test_a_refusal_counts_as_failed_and_its_speed_as_nothing() -> None:
    found = run(good(0, 100), Sample(0.5, 0, 1, 503, "HTTP 503"))
    assert (found.latency(50), found.failed_percent, found.rate) == (100, 50, 1)
    assert found.errors() == {"HTTP 503": 1}


def test_nothing_answered_is_no_latency_and_all_failed() -> None:
    found = run(Sample(0, 0, 1, 0, "no answer: refused"))
    assert (found.latency(95), found.failed_percent, found.rate) == (None, 100, 0)
    assert run().failed_percent == 100


def test_answers_that_come_after_the_end_make_the_rate_lower() -> None:
    """60 requests in a second whose last answer comes after 6 s were not answered at 60 a second."""
    every = [good(number / 60, 5000) for number in range(60)]
    assert run(*every).rate == pytest.approx(60 / (59 / 60 + 5))


def test_late_requests_and_a_busy_tool_are_told_apart() -> None:
    late = run(*[good(0, late=0.5)] * 20)
    assert "late" in (late.tool_limit() or "")
    assert "processor" in (run(good(0), processor=95).tool_limit() or "")


@given(st.lists(st.tuples(st.floats(0, 0.999), NUMBERS), min_size=1), st.integers(1, 50))
def test_slices_hold_every_answer_once(every: list[tuple[float, float]], slices: int) -> None:
    found = samples.over_time(run(*[good(at, ms) for at, ms in every]), slices)
    assert len(found) == slices
    filled = [row for row in found if row["p99"] is not None]
    assert max(row["p99"] or 0 for row in filled) == max(ms for _, ms in every)
    assert len(filled) == len({min(int(at / (1 / slices)), slices - 1) for at, _ in every})
