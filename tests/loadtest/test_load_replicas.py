"""Cold start and scale-out: what is measured, that replicas are put back, and what cannot be measured says why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kubectl_on_path import Cluster
from model_server import RIGHT, serving

from cluster.loadtest import ask, replicas
from cluster.loadtest.ask import Ask
from cluster.loadtest.replicas import Deployment


def deployment(folder: Path, cluster: Cluster) -> Deployment:
    return Deployment("iris", folder / "kubeconfig", folder / "bench" / "iris.json", str(cluster.program))


def asked(url: str) -> Ask:
    return ask.inference("iris", url, [])


def silent(_: str) -> None:
    pass


def test_cold_start_is_from_the_request_for_a_pod_to_the_first_right_answer(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, replicas=2, pods=[1.0, 1.0], takes=1.5)
    with serving(lambda _: (200, RIGHT) if cluster.answers else (503, "no pod")) as url:
        found = replicas.cold_start(deployment(tmp_path, cluster), asked(url), 30, silent)
    assert found["cold_start"].value is not None and found["cold_start"].value >= 1.4
    assert found["pod_start"].value is not None and found["pod_start"].value >= 1
    assert cluster["log"][:2] == [0, 2]
    assert cluster["replicas"] == 2


def test_a_model_that_does_not_come_back_has_missed_the_target(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, places=0)
    with serving(lambda _: (503, "no pod")) as url:
        found = replicas.cold_start(deployment(tmp_path, cluster), asked(url), 1, silent)["cold_start"]
    assert found.value == 1
    assert "at least" in found.why and "Insufficient cpu" in found.why
    assert cluster["replicas"] == 1


def test_scale_out_ends_with_three_ready_and_the_old_number(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, replicas=2, pods=[1.0, 1.0], takes=1.0)
    found = replicas.scale_out(deployment(tmp_path, cluster), 30, silent)
    assert found.value is not None and found.value >= 0.9
    assert cluster["log"] == [1, 3, 2]


def test_replicas_without_a_place_have_missed_the_target_and_say_why(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, places=1)
    found = replicas.scale_out(deployment(tmp_path, cluster), 1.5, silent)
    assert found.value == 1.5
    assert "1 of 3 ready" in found.why and "Insufficient cpu" in found.why
    assert cluster["replicas"] == 1


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"hpa": {"minReplicas": 1, "maxReplicas": 2}}, "set max_replicas to 3"),
        ({"hpa": {"minReplicas": 2, "maxReplicas": 4}}, "min_replicas: 1"),
        ({"scaler": "external"}, "min_replicas: 0"),
    ],
)
def test_who_would_undo_it_is_found_before_anything_changes(
    tmp_path: Path, state: dict[str, object], reason: str
) -> None:
    cluster = Cluster(tmp_path, **state)
    found = replicas.scale_out(deployment(tmp_path, cluster), 5, silent)
    assert found.value is None and reason in found.why
    assert cluster["log"] == []


def test_a_killed_measurement_is_put_back_by_the_next(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, replicas=0, pods=[])
    target = deployment(tmp_path, cluster)
    target.note.parent.mkdir()
    target.note.write_text(json.dumps({"deployment": target.name, "replicas": 2}))
    assert target.put_back() == 2
    assert cluster["replicas"] == 2
    assert target.put_back() is None


def test_an_interrupt_puts_the_number_back(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, replicas=2, pods=[1.0, 1.0])
    target = deployment(tmp_path, cluster)
    with pytest.raises(KeyboardInterrupt), target.changed():
        target.scale(0)
        assert json.loads(target.note.read_text())["replicas"] == 2
        raise KeyboardInterrupt
    assert cluster["replicas"] == 2
    assert not target.note.exists()


def test_a_cluster_that_does_not_answer_is_told_in_kubectls_words(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, silent=True)
    with pytest.raises(replicas.ReplicasError, match="Unable to connect"):
        deployment(tmp_path, cluster).replicas()


def test_no_kubectl_is_told(tmp_path: Path) -> None:
    target = Deployment("iris", tmp_path / "kubeconfig", tmp_path / "note", str(tmp_path / "nowhere"))
    with pytest.raises(replicas.ReplicasError, match="no kubectl on PATH"):
        target.replicas()
