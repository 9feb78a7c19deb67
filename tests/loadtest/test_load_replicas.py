"""Cold start and scale-out: what is measured, that replicas are put back, and what cannot be measured says why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from model_server import RIGHT, serving

from cluster.loadtest import ask, replicas
from cluster.loadtest.ask import Ask
from cluster.loadtest.replicas import Deployment
from tests.kserve.standin import KServe


@pytest.fixture
def kserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KServe:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "kubeconfig").touch()
    return KServe(tmp_path)


def deployment(kserve: KServe) -> Deployment:
    folder = kserve.place.parent
    return Deployment("iris", folder / "kubeconfig", folder / "bench" / "iris.json")


def asked(url: str) -> Ask:
    return ask.inference("iris", url, [])


def silent(_: str) -> None:
    pass


SCALERS = ["none", "hpa", "external"]


@pytest.mark.parametrize("scaler", SCALERS[:2])
def test_cold_start_is_from_the_request_for_a_pod_to_the_first_right_answer(kserve: KServe, scaler: str) -> None:
    """Whoever keeps the number of replicas: KServe itself where min and max are one, an autoscaler, nobody."""
    kserve.change(takes=1.5)
    kserve.service("iris", 2, 2, scaler)
    with serving(lambda _: (200, RIGHT) if kserve.answers("iris") else (503, "no pod")) as url:
        found = replicas.cold_start(deployment(kserve), asked(url), 30, silent)
    assert found["cold_start"].value is not None and found["cold_start"].value >= 1.4
    assert found["pod_start"].value is not None and found["pod_start"].value >= 1
    assert kserve.replicas("iris") == 2


def test_a_model_that_does_not_come_back_has_missed_the_target(kserve: KServe) -> None:
    kserve.change(places=0)
    kserve.service("iris")
    with serving(lambda _: (503, "no pod")) as url:
        found = replicas.cold_start(deployment(kserve), asked(url), 1, silent)["cold_start"]
    assert found.value == 1
    assert "at least" in found.why and "Insufficient cpu" in found.why
    assert kserve.replicas("iris") == 1


@pytest.mark.parametrize("scaler", SCALERS)
def test_scale_out_ends_with_three_ready_and_the_old_number(kserve: KServe, scaler: str) -> None:
    kserve.change(takes=1.0)
    least = 1 if scaler == "hpa" else 2
    kserve.service("iris", least, 3 if scaler == "hpa" else 2, scaler)
    before = kserve["services"]
    found = replicas.scale_out(deployment(kserve), 30, silent)
    assert found.value is not None and found.value >= 0.9
    assert kserve.replicas("iris") == least
    assert kserve["services"] == before, "what the service asks for is as it was"


def test_replicas_without_a_place_have_missed_the_target_and_say_why(kserve: KServe) -> None:
    kserve.change(places=1)
    kserve.service("iris")
    found = replicas.scale_out(deployment(kserve), 1.5, silent)
    assert found.value == 1.5
    assert "1 of 3 ready" in found.why and "Insufficient cpu" in found.why
    assert kserve.replicas("iris") == 1


@pytest.mark.parametrize(
    ("least", "most", "reason"), [(1, 2, "set max_replicas to 3"), (2, 4, "min_replicas: 1")], ids=["most", "least"]
)
def test_who_would_undo_it_is_found_before_anything_changes(kserve: KServe, least: int, most: int, reason: str) -> None:
    kserve.service("iris", least, most, "hpa")
    before = kserve["deployments"]["iris-predictor"]["pods"]
    found = replicas.scale_out(deployment(kserve), 5, silent)
    assert found.value is None and reason in found.why
    assert kserve["deployments"]["iris-predictor"]["pods"] == before


def test_a_stopped_model_says_how_it_is_let_run(kserve: KServe) -> None:
    """min_replicas: 0 is KServe's stop: there is no Deployment."""
    kserve.service("iris", 0, 1, "external", stop="true")
    with pytest.raises(replicas.ReplicasError, match=r"iris is stopped; .* annotate inferenceservice iris \S+stop-"):
        deployment(kserve).replicas()


@pytest.mark.parametrize("scaler", SCALERS)
def test_a_killed_measurement_is_put_back_by_the_next(kserve: KServe, scaler: str) -> None:
    kserve.service("iris", 2, 2, scaler)
    before = kserve["services"]
    killed = deployment(kserve).changed()
    killed.__enter__()
    deployment(kserve).scale(0)
    assert kserve.replicas("iris") == 0
    assert deployment(kserve).put_back() == 2
    assert (kserve.replicas("iris"), kserve["services"]) == (2, before)
    assert deployment(kserve).put_back() is None


def test_an_interrupt_puts_the_number_back(kserve: KServe) -> None:
    kserve.service("iris", 2, 2, "hpa")
    target = deployment(kserve)
    with pytest.raises(KeyboardInterrupt), target.changed():
        target.scale(0)
        assert json.loads(target.note.read_text())["replicas"] == 2
        raise KeyboardInterrupt
    assert kserve.replicas("iris") == 2
    assert not target.note.exists()


def test_a_cluster_that_does_not_answer_is_told_in_kubectls_words(kserve: KServe) -> None:
    kserve.change(silent=True)
    with pytest.raises(replicas.ReplicasError, match="Unable to connect"):
        deployment(kserve).replicas()


def test_no_kubectl_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "kubeconfig").touch()
    target = Deployment("iris", tmp_path / "kubeconfig", tmp_path / "note")
    with pytest.raises(replicas.ReplicasError, match="no kubectl on PATH"):
        target.replicas()
