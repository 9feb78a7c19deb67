"""Where a request's time goes: traced for real, read from a real server's page, and shared out."""

from __future__ import annotations

from pathlib import Path

import pytest
from certificates import for_localhost
from hypothesis import given
from hypothesis import strategies as st
from model_server import RIGHT, serving, slow

from cluster.loadtest import ask, breakdown, gpu, servermetrics, trace
from cluster.loadtest.ask import Ask
from cluster.loadtest.servermetrics import ServerTimes
from cluster.loadtest.trace import Spans

CAPTURED = Path(__file__).parent / "captured"
MS = st.floats(0, 1e4)
SPANS = st.builds(Spans, MS, MS, MS, MS, MS, MS)
TIMES = st.builds(ServerTimes, st.none() | MS, st.none() | MS, st.none(), st.none(), st.just(1))


def asked(url: str, ca_file: str | None = None) -> Ask:
    return ask.inference("iris", url, [], ca_file)


def test_only_the_first_request_on_a_kept_connection_pays_for_it(tmp_path: Path) -> None:
    certificate = for_localhost(tmp_path / "localhost.pem")
    with serving(certificate=certificate) as url:
        first, second = trace.requests(asked(url, str(certificate)), 2)
        fresh = trace.requests(asked(url, str(certificate)), 2, keep=False)
    assert first.lookup > 0 and first.connect > 0 and first.tls > 0
    assert (second.lookup, second.connect, second.tls) == (0, 0, 0)
    assert all(each.tls > 0 and each.lookup > 0 for each in fresh)


def test_a_server_that_thinks_shows_as_waiting() -> None:
    with serving(slow(0.2)) as url:
        found = trace.requests(asked(url), 1)[0]
    assert found.wait >= 195
    assert found.wait > 0.8 * found.total


@pytest.mark.parametrize(("answer", "told"), [((503, "no pod"), "answered 503: no pod"), ((200, "{}"), "answered 200")])
def test_a_wrong_answer_is_no_measurement(answer: tuple[int, str], told: str) -> None:
    with serving(lambda _: answer) as url, pytest.raises(trace.TraceError, match=told):
        trace.requests(asked(url), 1)


def test_a_name_without_an_address_and_nobody_there_are_told() -> None:
    with pytest.raises(trace.TraceError, match="has no address"):
        trace.requests(asked("http://nobody.invalid"), 1)
    with pytest.raises(trace.TraceError, match="refused"):
        trace.requests(asked("http://127.0.0.1:1"), 1)


def test_the_counters_of_a_real_page_are_those_of_inference() -> None:
    """MLServer 1.7 counts health checks in the same histogram: they must not pull the mean down."""
    page = servermetrics.counters((CAPTURED / "mlserver-metrics.txt").read_text())
    assert page["model_infer_request_duration_count"] == page["rest_server_request_duration_seconds_count"]
    found = servermetrics.between({}, page)
    assert found.queue is None
    assert found.inference is not None and found.whole is not None
    assert 0 < found.inference <= found.whole
    assert found.requests == page["model_infer_request_duration_count"]


def test_only_the_difference_counts_and_a_server_started_anew_says_nothing() -> None:
    before = {"vllm:request_queue_time_seconds_sum": 10.0, "vllm:request_queue_time_seconds_count": 100.0}
    after = {"vllm:request_queue_time_seconds_sum": 11.0, "vllm:request_queue_time_seconds_count": 110.0}
    assert servermetrics.between(before, after).queue == pytest.approx(100)
    assert servermetrics.between(after, before).queue is None
    assert servermetrics.between(after, after) == ServerTimes(None, None, None, None, 0)


@given(st.lists(SPANS, min_size=1), st.none() | st.lists(SPANS, min_size=1), st.none() | TIMES)
def test_the_parts_are_the_whole_whatever_the_server_says(
    every: list[Spans], direct: list[Spans] | None, server: ServerTimes | None
) -> None:
    found = breakdown.explain(every, direct, server)
    slow_one = breakdown.slow_one(every)
    assert sum(part.ms for part in found.parts) == pytest.approx(slow_one.total)
    assert all(part.ms >= 0 for part in found.parts)
    assert found.remedy == breakdown.REMEDIES[found.largest]
    assert found.largest == max(found.parts, key=lambda part: part.ms).name


def test_the_largest_part_is_named_by_who_is_slow() -> None:
    def named(**server: float | None) -> str:
        times = ServerTimes(server.get("queue"), server.get("inference"), None, None, 10)
        return breakdown.explain([Spans(0, 0, 0, 1, 100, 1)], [Spans(0, 0, 0, 1, 90, 1)], times).largest

    assert named(queue=70, inference=10) == "queue"
    assert named(queue=0, inference=80) == "inference"
    assert named(inference=5) == "server"
    assert breakdown.explain([Spans(0, 0, 0, 1, 100, 1)], [Spans(0, 0, 0, 1, 10, 1)], None).largest == "gateway"
    assert breakdown.explain([Spans(0, 0, 0, 1, 100, 1)], None, None).largest == "waiting"
    assert breakdown.explain([Spans(80, 0, 0, 1, 5, 1)], None, None).largest == "name lookup"


def test_what_cannot_be_told_apart_says_so() -> None:
    assert len(breakdown.explain([Spans(0, 0, 0, 1, 1, 1)], None, None).unknown) == 2


def prometheus(*values: str) -> dict[str, object]:
    series = [{"metric": {}, "values": [[1, value] for value in values]}]
    return {"status": "success", "data": {"resultType": "matrix", "result": series if values else []}}


def test_gpu_utilisation_is_the_mean_and_unknown_where_nothing_was_kept() -> None:
    assert gpu.read(prometheus("80", "90", "NaN")).value == 85
    assert gpu.read(prometheus()).value is None
    assert "no DCGM" in gpu.read(prometheus()).why
    assert gpu.read({"status": "error", "error": "parse error"}).why.endswith("parse error")


def test_a_prometheus_that_does_not_answer_is_a_reason_not_a_zero() -> None:
    found = gpu.utilisation("http://127.0.0.1:1", "iris", 0, 10)
    assert found.value is None and "did not tell" in found.why
    with serving() as url:
        assert gpu.utilisation(url, "iris", 0, 10).value is None, RIGHT
