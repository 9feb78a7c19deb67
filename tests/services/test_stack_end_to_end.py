"""What of a model's way may go wrong over real services: changed, broken, killed; its whole way is in test_promotion.

The cluster's own parts are the program's: the transfer, the init container's program, values and Secrets. What KServe's
controller does with them is followed, not run (docs/services.md).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import boto3
import pytest
from botocore.config import Config

from cluster.transfer.model import Report, Result
from cluster.transfer.registry import DIGEST_TAG
from cluster.transfer.sync import Wish, sync
from lab.services.fetching import fetch
from lab.services.problems import ServicesError
from lab.services.stack import Stack
from tests.services.clients import infer, train

pytestmark = [pytest.mark.daemon, pytest.mark.xdist_group("services")]

ALIAS = "production"


class Quiet:
    """A transfer's progress that nobody looks at."""

    def begin(self, files: int, size: int) -> None: ...
    def moved(self, size: int) -> None: ...
    def ended(self, result: Result) -> None: ...
    def say(self, text: str) -> None: ...


def transfer(stack: Stack, source: Path) -> Report:
    """Transfer what lies in a folder, as ``cloudctl models sync`` does."""
    wish = Wish(source, "models", min_age_s=0.0, patience_s=60.0)
    return sync(wish, stack.s3, stack.mlflow, source.parent / "state.sqlite", Quiet())


def trained(stack: Stack, source: Path, name: str, version: str, seed: str) -> dict[str, Any]:
    """Train a model into ``source``/NAME/VERSION, as a training run leaves it."""
    return train(stack, str(source / name / version), seed)


def test_a_model_that_changed_in_the_store_is_refused_and_never_served(stack: Stack, tmp_path: Path) -> None:
    source = tmp_path / "source"
    trained(stack, source, "corrupt", "1", "2")
    assert transfer(stack, source).ok
    store = stack.s3.client()
    body = bytearray(store.get_object(Bucket="models", Key="corrupt/1/model.joblib")["Body"].read())
    body[len(body) // 2] ^= 1
    store.put_object(Bucket="models", Key="corrupt/1/model.joblib", Body=bytes(body))
    done = fetch(stack, "models:/corrupt/1", tmp_path / "mnt", "corrupt")
    assert done.returncode == 1
    assert "refused to serve models:/corrupt/1" in done.stderr
    assert "model.joblib" in done.stderr


def test_a_bad_version_is_taken_back_by_its_alias(stack: Stack, tmp_path: Path) -> None:
    """Version 2 is whole but no model: it never gets ready, and the alias goes back to the one that served."""
    source = tmp_path / "source"
    told = trained(stack, source, "rolling", "1", "3")
    bad = source / "rolling" / "2"
    bad.mkdir()
    (bad / "model.joblib").write_bytes(b"no model at all")
    assert transfer(stack, source).ok
    client = stack.mlflow.client()
    versions = {each.tags["version"]: each.version for each in client.search_model_versions("name = 'rolling'")}
    client.set_registered_model_alias("rolling", ALIAS, versions["2"])

    assert fetch(stack, f"models:/rolling@{ALIAS}", tmp_path / "two", "rolling").returncode == 0
    with pytest.raises(ServicesError, match="ended before it answered"):
        stack.serve(tmp_path / "two", "rolling")
    stack.stop("rolling")

    client.set_registered_model_alias("rolling", ALIAS, versions["1"])
    assert fetch(stack, f"models:/rolling@{ALIAS}", tmp_path / "one", "rolling").returncode == 0
    url = stack.serve(tmp_path / "one", "rolling")
    try:
        assert infer(url, "rolling", told["inputs"]) == told["expected"]
    finally:
        stack.stop("rolling")


def test_a_model_logged_with_mlflow_is_fetched_and_served_by_the_mlflow_runtime(stack: Stack, tmp_path: Path) -> None:
    told = train(stack, "--log", "logged", "4")
    run = stack.mlflow.client().get_run(told["run"])
    assert run.data.metrics["accuracy"] > 0.9
    done = fetch(stack, f"models:/logged/{told['version']}", tmp_path / "mnt", "logged")
    assert done.returncode == 0, done.stdout + done.stderr
    url = stack.serve(tmp_path / "mnt", "logged", runtime="mlflow")
    try:
        assert infer(url, "logged", told["inputs"]) == told["expected"]
    finally:
        stack.stop("logged")


class Writer:
    """Writes again and again, in a thread of its own; keeps what was confirmed, and counts what was not."""

    def __init__(self, write: Callable[[int], str]) -> None:
        self.confirmed: list[str] = []
        self.failed, self._write, self._end = 0, write, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        number = 0
        while not self._end.is_set():
            number += 1
            try:
                self.confirmed.append(self._write(number))
            except Exception:
                self.failed += 1
                time.sleep(0.05)

    def until(self, reached: Callable[[], bool]) -> None:
        """Wait for something to become of it."""
        deadline = time.monotonic() + 60
        while not reached():
            assert time.monotonic() < deadline, (len(self.confirmed), self.failed)
            time.sleep(0.02)


def run_writer(stack: Stack, name: str, monkeypatch: pytest.MonkeyPatch) -> Writer:
    """Write runs into an experiment, each by one request."""
    for key, value in {"MAX_RETRIES": "0", "TIMEOUT": "10"}.items():
        monkeypatch.setenv(f"MLFLOW_HTTP_REQUEST_{key}", value)
    client = stack.mlflow.client()
    experiment = client.create_experiment(name)
    return Writer(lambda number: str(client.create_run(experiment, run_name=f"{number}").info.run_id))


def object_writer(stack: Stack) -> Writer:
    """Write objects, each of what its name says; no request is repeated."""
    config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, read_timeout=10)
    client = boto3.client(
        "s3",
        endpoint_url=stack.s3.endpoint,
        aws_access_key_id=stack.s3.access_key,
        aws_secret_access_key=stack.s3.secret_key.get_secret_value(),
        region_name=stack.s3.region,
        config=config,
    )

    def write(number: int) -> str:
        key = f"written/{number}"
        client.put_object(Bucket="models", Key=key, Body=key.encode() * 10_000)
        return key

    return Writer(write)


def survived(stack: Stack, runs: Writer, objects: Writer | None = None) -> None:
    """Hold what is there to what was confirmed: nothing of it may be lost, and the kill has met writes."""
    client = stack.mlflow.client()
    assert runs.failed, "nothing was cut off"
    for run in runs.confirmed:
        assert client.get_run(run).info.run_id == run
    if objects is not None:
        assert objects.failed, "nothing was cut off"
        store = stack.s3.client()
        for key in objects.confirmed:
            assert store.get_object(Bucket="models", Key=key)["Body"].read() == key.encode() * 10_000


def test_database_and_store_are_killed_under_writes_come_back_and_nothing_is_lost(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    told = trained(stack, source, "survivor", "1", "5")
    digest = transfer(stack, source).results[0].digest
    assert digest
    with run_writer(stack, "survivors", monkeypatch) as runs, object_writer(stack) as objects:
        runs.until(lambda: len(runs.confirmed) > 3 and len(objects.confirmed) > 3)
        for name in ("postgresql", "minio"):
            stack.processes.kill(name)
        assert not any(stack.processes.running(name) for name in ("postgresql", "minio"))
        runs.until(lambda: runs.failed > 0 and objects.failed > 0)
        before = len(runs.confirmed), len(objects.confirmed)
        for name in ("minio", "postgresql"):
            stack.processes.start(name)
        # MLflow was not restarted: it finds its database again by itself
        runs.until(lambda: len(runs.confirmed) > before[0] + 3 and len(objects.confirmed) > before[1] + 3)
    survived(stack, runs, objects)
    (version,) = _patiently(stack, "name = 'survivor'")
    assert version.tags[DIGEST_TAG] == digest
    assert fetch(stack, "models:/survivor/1", tmp_path / "mnt", "survivor").returncode == 0
    url = stack.serve(tmp_path / "mnt", "survivor")
    try:
        assert infer(url, "survivor", told["inputs"]) == told["expected"]
    finally:
        stack.stop("survivor")
    assert transfer(stack, source).sent_bytes == 0


def test_mlflow_is_killed_while_it_writes_and_what_it_confirmed_is_there(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    with run_writer(stack, "killed", monkeypatch) as runs:
        runs.until(lambda: len(runs.confirmed) > 3)
        stack.processes.kill("mlflow")
        runs.until(lambda: runs.failed > 0)
        stack.processes.start("mlflow")
        before = len(runs.confirmed)
        runs.until(lambda: len(runs.confirmed) > before)
    survived(stack, runs)


def _patiently(stack: Stack, wanted: str) -> list[Any]:
    from mlflow.exceptions import MlflowException

    client = stack.mlflow.client()
    for _ in range(60):
        try:
            return list(client.search_model_versions(wanted))
        except MlflowException:
            time.sleep(0.5)
    raise AssertionError("MLflow does not answer again")


def test_the_manifest_in_the_store_says_what_was_trained(stack: Stack, tmp_path: Path) -> None:
    source = tmp_path / "source"
    trained(stack, source, "listed", "1", "6")
    transfer(stack, source)
    manifest = json.loads(stack.s3.client().get_object(Bucket="models", Key="listed/1/manifest.json")["Body"].read())
    size = (source / "listed" / "1" / "model.joblib").stat().st_size
    assert [(entry["path"], entry["size"]) for entry in manifest["files"]] == [("model.joblib", size)]
