"""Locust really run, against a server that answers as it is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from certificates import for_localhost
from model_server import RIGHT, serving, slow

from cluster.loadtest import ask, drive
from cluster.loadtest.ask import Ask
from cluster.loadtest.drive import Load
from cluster.loadtest.samples import Run

USUAL = Load(20, 40, 2, 1)


def asked(url: str, ca_file: str | None = None) -> Ask:
    return ask.inference("iris", url, [{"name": "a", "shape": [1], "datatype": "FP32", "data": [1]}], ca_file)


def loaded(url: str, load: Load = USUAL, ca_file: str | None = None) -> Run:
    return drive.run(asked(url, ca_file), load, lambda text: None)


def test_a_rate_is_kept_and_the_warm_up_is_not_counted() -> None:
    with serving() as url:
        run = loaded(url)
    assert (run.warm_ups, len(run.samples)) == (20, 40)
    assert run.failed_percent == 0
    assert 0 < run.processor_percent < 100


def test_users_without_a_rate_ask_as_fast_as_they_are_answered() -> None:
    with serving(slow(0.05)) as url:
        run = loaded(url, Load(None, 2, 2, 0))
    assert 10 <= len(run.samples) <= 80, "two users, 20 answers a second each at most"
    assert run.tool_limit() is None


def test_a_slow_answer_does_not_put_off_the_next_request() -> None:
    """One stall of a second at 20 a second: users that waited for it would leave 20 requests out."""
    with serving(lambda number: slow(1.0)(number) if number == 20 else (200, RIGHT)) as url:
        run = loaded(url)
    assert len(run.samples) == 40
    assert sum(each.ms > 900 for each in run.samples) == 1


def test_too_few_users_show_as_late_requests_not_as_a_slow_schedule() -> None:
    with serving(slow(0.5)) as url:
        run = loaded(url, Load(20, 2, 2, 0))
    assert "late" in (run.tool_limit() or "")
    assert run.rate < 10


def test_errors_are_told_by_what_they_are() -> None:
    kinds = [(200, RIGHT), (503, "no pod"), (200, "{}"), (404, "no such model")]
    with serving(lambda number: kinds[number % 4]) as url:
        run = loaded(url)
    assert run.failed_percent == 75
    assert run.errors() == {"HTTP 503": 10, '200 without "outputs"': 10, "HTTP 404": 10}


def test_nobody_there_is_an_error_of_every_request() -> None:
    with serving() as url:
        pass
    run = loaded(url, Load(10, 5, 1, 0))
    assert run.failed_percent == 100
    assert all(error.startswith("no answer:") for error in run.errors())


def test_a_request_that_hangs_ends_with_its_time() -> None:
    with serving(slow(5)) as url:
        run = loaded(url, Load(5, 10, 1, 0, timeout_s=0.5))
    assert run.failed_percent == 100
    assert len(run.samples) == 5


def test_the_certificate_is_verified(tmp_path: Path) -> None:
    certificate = for_localhost(tmp_path / "localhost.pem")
    with serving(certificate=certificate) as url:
        trusted = loaded(url, Load(10, 5, 1, 0), str(certificate))
        stranger = loaded(url, Load(10, 5, 1, 0))
    assert trusted.failed_percent == 0
    assert stranger.failed_percent == 100
    assert "CERTIFICATE_VERIFY_FAILED" in next(iter(stranger.errors()))


def test_what_breaks_in_our_locustfile_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "locustfile.py"
    broken.write_text(drive.LOCUSTFILE.read_text().replace("sent = time.monotonic()", "sent = time.nothing()"))
    monkeypatch.setattr(drive, "LOCUSTFILE", broken)
    with serving() as url, pytest.raises(drive.LoadError, match="our locustfile failed: AttributeError"):
        loaded(url, Load(5, 2, 1, 0))


def test_locust_that_does_not_start_is_told_in_its_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(drive, "LOCUSTFILE", tmp_path / "nothing.py")
    with pytest.raises(drive.LoadError, match=r"locust ended with \d+:\n.*nothing\.py"):
        loaded("http://127.0.0.1:1", Load(5, 2, 1, 0))


def test_settings_of_the_users_own_for_locust_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCUST_USERS", "1")
    monkeypatch.setenv("LOCUST_RUN_TIME", "1s")
    with serving() as url:
        assert len(loaded(url).samples) == 40
