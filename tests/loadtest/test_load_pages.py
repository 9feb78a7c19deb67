"""What the servers of a model have counted, asked of each of its pods by the way that is open to us."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from model_server import serving

from cluster.loadtest import pages
from cluster.settings.model import Model
from tests.kserve.forwarding import put_on_path

PAGE = (Path(__file__).parent / "captured/mlserver-metrics.txt").read_text()
MODEL = Model.model_validate({"name": "iris", "uri": "models:/iris@a", "runtime": "mlserver"})


@contextmanager
def pods(folder: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> Iterator[None]:
    """A cluster with so many pods of the model, each with MLServer's page at its port of metrics."""
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    (folder / "kubeconfig").touch()
    with serving(page=PAGE) as url:
        address = url.removeprefix("http://")
        put_on_path(folder, {f"models/pod/iris-{number}/8082": address for number in range(count)})
        yield


def test_the_counters_of_all_pods_are_added_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pods(tmp_path, monkeypatch, 1):
        one = pages.of_pods(tmp_path / "kubeconfig", MODEL)
    assert one and sum(one.values()) > 0
    with pods(tmp_path, monkeypatch, 2):
        two = pages.of_pods(tmp_path / "kubeconfig", MODEL)
    assert two == {key: 2 * value for key, value in one.items()}


def test_a_model_without_pods_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pods(tmp_path, monkeypatch, 0), pytest.raises(pages.PageError, match="iris has no pod"):
        pages.of_pods(tmp_path / "kubeconfig", MODEL)


def test_no_kubectl_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "kubeconfig").touch()
    with pytest.raises(pages.PageError, match="no kubectl on PATH"):
        pages.of_pods(tmp_path / "kubeconfig", MODEL)
