"""The benches of transfer and serving with the least effort: that they still measure, not what."""

from __future__ import annotations

import pytest

from lab.bench import serving, transfer

pytestmark = [pytest.mark.daemon, pytest.mark.xdist_group("services")]


def test_a_model_served_by_us_is_measured_beside_one_started_by_hand() -> None:
    if reason := serving.lacking():
        pytest.skip(reason)
    said: list[str] = []
    requests, start = serving.measured(1, 1.0, said.append)
    assert (requests.name, start.name) == ("serving", "cold start")
    assert len(said) == 2 and all("requests/s" in each for each in said)
    for each in (requests, start):
        assert len(each.rounds) == 1 and 0.2 < each.rounds[0] < 5, "the same server twice"
        assert set(each.seconds) == {"ours", "by hand"} and all(each.seconds.values())
    assert "P95" in requests.notes[0]


def test_our_transfer_is_measured_beside_rclones_and_a_second_one_sends_nothing() -> None:
    if reason := transfer.lacking():
        pytest.skip(reason)
    said: list[str] = []
    large, small, again = transfer.measured(1, 8, 20, said.append)
    assert [each.name for each in (large, small, again)] == ["transfer large", "transfer small", "sync again"]
    assert all(len(each.rounds) == 1 and each.rounds[0] > 0 for each in (large, small, again))
    assert "20 files" in small.title and len(said) == 3
