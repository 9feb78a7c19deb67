"""Promotions over a real MLflow, a real object store and real model servers; the cluster's part is played by processes.

The stand-in for the cluster starts and ends servers as KServe would start and end pods: the init container's own
program fetches what a URI names, and a server that does not get ready is a version that does not start.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from typer.testing import CliRunner

from cloudctl.app import app
from cloudctl.promoting import place
from cluster.promotion.journal import JournalFile
from cluster.promotion.model import Gate, PromotionError, Version
from cluster.promotion.plan import Capacity
from cluster.promotion.ports import Which
from cluster.promotion.probe import HttpProbe, question_for
from cluster.promotion.registry import MLflowRegistry
from cluster.promotion.run import Promotion
from cluster.settings.model import Model
from cluster.transfer.sync import Wish, sync
from lab.services import serving
from lab.services.fetching import fetch
from lab.services.problems import ServicesError
from lab.services.stack import Stack
from tests.services.clients import infer, train
from tests.services.test_stack_end_to_end import Quiet

pytestmark = [pytest.mark.daemon, pytest.mark.xdist_group("services")]

ROOT = Path(__file__).resolve().parents[2]
ALIAS = "champion"
# far apart, so that a busy machine makes no version slow: the slow one takes a second
GATE = Gate(samples=20, ratio=20, slack_ms=200)


class Processes:
    """The cluster: a service and a candidate as processes; ``room`` for both or not."""

    def __init__(self, stack: Stack, model: str, folder: Path, room: bool) -> None:
        self.stack, self.model, self.folder, self.room = stack, model, folder, room
        self.urls: dict[str, str] = {}
        self.weight = 0
        self.kill_in: str | None = None

    def capacity(self) -> Capacity:
        return Capacity(1, 1 if self.room else 0, "service" in self.urls)

    def deploy(self, version: Version) -> None:
        self._start("candidate", f"models:/{version.model}/{version.number}", version.digest)

    def restart(self, version: Version) -> None:
        self._start("service", f"models:/{version.model}@{ALIAS}", "")

    def share(self, percent: int) -> None:
        self._dies("share")
        self.weight = percent

    def stop(self) -> None:
        self._end("service")

    def remove(self) -> None:
        self._end("candidate")

    @contextmanager
    def reach(self, which: Which) -> Iterator[str]:
        if which not in self.urls:
            raise PromotionError(f"there is no {which}")
        yield self.urls[which]

    def _start(self, which: str, uri: str, digest: str) -> None:
        self._dies(f"before {which}")
        self._end(which)
        files = self.folder / which
        shutil.rmtree(files, ignore_errors=True)
        done = fetch(self.stack, uri, files, self.model, digest)
        if done.returncode != 0:
            raise PromotionError(f"{which} does not start: {done.stderr.strip().splitlines()[-1]}")
        host = self.stack.hosts.models
        port = next(port for index in range(50, 100) if _free(host, port := serving.port_of(index)))
        model = Model.model_validate({"name": self.model, "uri": uri, "runtime": "mlserver"})
        work = self.folder / f"{which}-work"
        process = replace(
            serving.process(self.stack.servers, model, files, host, port, work), name=f"{self.model}-{which}"
        )
        self.stack.processes.add(process)
        try:
            self.stack.processes.start(process.name)
        except ServicesError as error:
            self.stack.processes.stop(process.name)
            raise PromotionError(f"{which} does not get ready: {error}") from None
        self.urls[which] = f"http://{host}:{port}"
        self._dies(f"after {which}")

    def _end(self, which: str) -> None:
        if self.urls.pop(which, None):
            self.stack.processes.stop(f"{self.model}-{which}")

    def _dies(self, where: str) -> None:
        if self.kill_in == where:
            self.kill_in = None
            raise SystemExit(f"killed {where}")


def _free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex((host, port)) != 0


class Scene:
    """A model with its versions in store and registry, its service, and promotions of it."""

    def __init__(self, stack: Stack, folder: Path, name: str, room: bool) -> None:
        self.stack, self.folder, self.name = stack, folder, name
        self.registry = MLflowRegistry(stack.mlflow, stack.s3, name, ALIAS)
        self.cluster = Processes(stack, name, folder, room)
        self.told: list[str] = []
        self.smoke: dict[str, Any] = {}

    def add(self, version: str, make: Callable[[Path], dict[str, Any] | None]) -> str:
        """Make a version's files, transfer and register them; return MLflow's number."""
        source = self.folder / "source"
        folder = source / self.name / version
        folder.mkdir(parents=True)
        told = make(folder)
        if told is not None and not self.smoke:
            self.smoke = question(told)
        wish = Wish(source, "models", min_age_s=0.0, patience_s=60.0)
        report = sync(wish, self.stack.s3, self.stack.mlflow, self.folder / "state.sqlite", Quiet())
        assert report.ok, report
        found = self.stack.mlflow.client().search_model_versions(f"name = '{self.name}'")
        return str(max(int(each.version) for each in found))

    def promotion(self) -> Promotion:
        """Return a new process' promotions."""
        model = Model.model_validate({"name": self.name, "uri": f"models:/{self.name}@{ALIAS}", "runtime": "mlserver"})
        probe = HttpProbe(self.name, question_for(model, self.smoke))
        journal = JournalFile(self.folder / "promotions.json")
        return Promotion(self.cluster, self.registry, probe, journal, "tester", self.told.append)

    @property
    def serves(self) -> str:
        """The version that the running server's files are of, by their manifest."""
        manifest = json.loads((self.cluster.folder / "service" / "manifest.json").read_text())
        return str(manifest["version"])

    def close(self) -> None:
        for which in ("service", "candidate"):
            self.cluster._end(which)


def question(told: dict[str, Any]) -> dict[str, Any]:
    """Return the smoke request of a trained model: its own inputs and what it said of them."""
    rows = told["inputs"]
    data = [number for row in rows for number in row]
    tensor = {"name": "input", "shape": [len(rows), len(rows[0])], "datatype": "FP64", "data": data}
    request = {"inputs": [tensor], "parameters": {"content_type": "np"}}
    return {"request": request, "expect": {"outputs": [{"data": told["expected"]}]}}


def good(stack: Stack, seed: str) -> Callable[[Path], dict[str, Any]]:
    return lambda folder: train(stack, str(folder), seed)


def script(stack: Stack, text: str) -> Callable[[Path], None]:
    """Return a maker that runs Python in the servers' environment, with ``folder`` set."""

    def make(folder: Path) -> None:
        import subprocess

        code = f"folder = {str(folder)!r}\n{text}"
        done = subprocess.run([str(stack.servers.python), "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    return make


WRONG = """
import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
x, y = load_iris(return_X_y=True)
joblib.dump(LogisticRegression(max_iter=500).fit(x, (y + 1) % 3), folder + "/model.joblib")
"""
SLOW = """
import joblib
from sklearn.datasets import load_iris
from sklearn.ensemble import BaggingClassifier
from sklearn.linear_model import LogisticRegression
x, y = load_iris(return_X_y=True)
one = LogisticRegression(max_iter=500).fit(x, y)
slow = BaggingClassifier(LogisticRegression(max_iter=500), n_estimators=2, random_state=0).fit(x, y)
# the same members asked thousands of times: as right as the first version, and slow
slow.estimators_ = [one] * 12000
slow.estimators_features_ = [slow.estimators_features_[0]] * 12000
slow.n_estimators = 12000
joblib.dump(slow, folder + "/model.joblib")
"""


@pytest.fixture
def scene(stack: Stack, tmp_path: Path, way: str) -> Iterator[Scene]:
    """A model whose first version serves; ``way``: how the next one comes in, by ``share`` or by ``swap``."""
    name = f"iris-{way}-{abs(hash(tmp_path)) % 10**6}"
    made = Scene(stack, tmp_path, name, way == "share")
    first = made.add("v1", good(stack, "1"))
    try:
        assert made.promotion().promote(first, GATE).promoted, made.told
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("way", ["share", "swap"])
def test_a_good_version_serves_and_one_command_goes_back(scene: Scene) -> None:
    second = scene.add("v2", good(scene.stack, "1"))
    assert scene.promotion().promote(second, GATE).promoted, scene.told
    assert (scene.serves, scene.registry.current()) == ("v2", scene.registry.find(second))
    assert (scene.cluster.weight, set(scene.cluster.urls)) == (0, {"service"})
    assert scene.promotion().rollback().promoted
    assert scene.serves == "v1"
    shown = [(each.version, bool(each.until), each.by) for each in scene.registry.history()]
    assert sorted(shown) == [("1", False, "tester"), ("1", True, "tester"), ("2", True, "tester")]
    assert {each.version for each in scene.registry.history() if each.taken_back} == {second}
    with pytest.raises(PromotionError, match=f"name one that has: {second}"):
        scene.promotion().rollback()


FAULTS = {
    "wrong": "expected was",
    "slow": "is above",
    "broken": "does not get ready",
    "corrupt": "has SHA-256",
}
OFTEN = {("share", "wrong"), ("swap", "slow"), ("swap", "broken"), ("share", "corrupt")}
"""Each fault once, each way twice. The other half only when every case is asked for: each starts many servers."""


@pytest.mark.parametrize(
    ("way", "fault", "reason"),
    [
        pytest.param(way, fault, reason, marks=[] if (way, fault) in OFTEN else [pytest.mark.exhaustive])
        for way in ("share", "swap")
        for fault, reason in FAULTS.items()
    ],
)
def test_a_bad_version_goes_back_by_itself(scene: Scene, fault: str, reason: str) -> None:
    stack = scene.stack
    makers: dict[str, Callable[[Path], Any]] = {
        "wrong": script(stack, WRONG),
        "slow": script(stack, SLOW),
        "broken": lambda folder: (folder / "model.joblib").write_bytes(b"no model") and None,
        "corrupt": good(stack, "1"),
    }
    second = scene.add("v2", makers[fault])
    if fault == "corrupt":
        key = f"{scene.name}/v2/model.joblib"
        stack.s3.client().put_object(Bucket="models", Key=key, Body=b"exchanged in the store")
    outcome = scene.promotion().promote(second, GATE)
    assert not outcome.promoted
    assert outcome.failed is not None and reason in outcome.failed, outcome
    assert scene.serves == "v1"
    current = scene.registry.current()
    assert current is not None and current.number == outcome.before
    with scene.cluster.reach("service") as url:
        assert scene.promotion().probe.smoke(url) == []
    assert set(scene.cluster.urls) == {"service"}


@pytest.mark.parametrize(
    ("way", "where"),
    [
        ("share", "after service"),
        ("swap", "before service"),
        pytest.param("share", "share", marks=pytest.mark.exhaustive),
        pytest.param("share", "before service", marks=pytest.mark.exhaustive),
        pytest.param("swap", "after service", marks=pytest.mark.exhaustive),
    ],
)
def test_a_killed_promotion_goes_on_over_real_services(scene: Scene, where: str) -> None:
    second = scene.add("v2", good(scene.stack, "1"))
    scene.cluster.kill_in = where
    with pytest.raises(SystemExit):
        scene.promotion().promote(second, GATE)
    assert scene.promotion().promote(second, GATE).promoted, scene.told
    assert (scene.serves, set(scene.cluster.urls), scene.cluster.weight) == ("v2", {"service"}, 0)


@pytest.mark.parametrize("way", ["swap"])
def test_a_model_exchanged_behind_the_registry_does_not_start_again(scene: Scene) -> None:
    """The gate is long past; a pod that starts anew is held to the digest all the same."""
    bucket, prefix = "models", f"{scene.name}/v1"
    forged = b'{"format": 1, "name": "x", "version": "v1", "files": []}'
    client = scene.stack.s3.client()
    client.put_object(Bucket=bucket, Key=f"{prefix}/manifest.json", Body=forged)
    current = scene.registry.current()
    assert current is not None
    with pytest.raises(PromotionError, match="this is not the registered model"):
        scene.cluster.restart(current)


@pytest.mark.parametrize("way", ["swap"])
def test_a_version_without_a_digest_is_not_promoted(scene: Scene) -> None:
    client = scene.stack.mlflow.client()
    made = client.create_model_version(scene.name, f"s3://models/{scene.name}/v1")
    outcome = scene.promotion().promote(str(made.version), GATE)
    assert outcome.failed is not None and "has no tag manifest_sha256" in outcome.failed


@pytest.mark.parametrize("way", ["swap"])
def test_what_is_not_in_the_registry_is_one_clear_sentence(scene: Scene) -> None:
    with pytest.raises(PromotionError, match=r"version 99 of .* is not in MLflow at http"):
        scene.promotion().promote("99", GATE)


def test_one_digest_from_the_training_folder_to_the_answer(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the commands as they are typed: what is trained, stored, registered, promoted, fetched and served is one."""
    source, name = tmp_path / "source", "chain"
    told = train(stack, str(source / name / "1"), "1")
    (source / name / "1" / "merges.txt").touch()  # an empty file is a file of the model
    (source / name / "10").mkdir()
    (source / name / "10" / "note").write_text("a neighbour whose name begins with a 1")
    cloudctl = _typed(stack, tmp_path, source, name, monkeypatch)

    sent = json.loads(cloudctl("sync", "--min-age", "0", "--json"))
    digests = {each["label"]: each["digest"] for each in sent["versions"]}
    number = next(each["registered"] for each in sent["versions"] if each["label"] == f"{name}/1")
    digest = digests[f"{name}/1"]
    assert digest != digests[f"{name}/10"]
    client = stack.mlflow.client()
    assert client.get_model_version(name, number).tags["manifest_sha256"] == digest
    assert json.loads(cloudctl("sync", "--min-age", "0", "--json"))["sent_bytes"] == 0
    stored = stack.s3.client().get_object(Bucket="models", Key=f"{name}/1/manifest.json")["Body"].read()
    assert hashlib.sha256(stored).hexdigest() == digest

    cluster = Processes(stack, name, tmp_path, room=False)
    monkeypatch.setattr(place, "ClusterServing", lambda *words: cluster)
    try:
        smoke = tmp_path / "smoke.json"
        smoke.write_text(json.dumps(question(told)))
        gate = ("--samples", "20", "--ratio", "20", "--slack", "200")
        done = json.loads(cloudctl("promote", name, number, "--smoke", str(smoke), *gate, "--yes", "--json"))
        assert done["promoted"] and client.get_model_version_by_alias(name, ALIAS).version == number
        assert [each["version"] for each in json.loads(cloudctl("history", name, "--json"))] == [number]
        assert _files(tmp_path / "service") == _files(source / name / "1")
        served = (tmp_path / "service" / "manifest.json").read_bytes()
        assert hashlib.sha256(served).hexdigest() == digest
        with cluster.reach("service") as url:
            assert infer(url, name, told["inputs"]) == told["expected"]
            assert httpx.get(f"{url}/v2/models/{name}").json()["name"] == name
    finally:
        cluster._end("service")

    # by its place in the store it is the same model, held to the same digest, and without its neighbour
    by_place = fetch(stack, f"s3://models/{name}/1", tmp_path / "by-place", name)
    assert by_place.returncode == 0 and f"manifest {digest}" in by_place.stdout, by_place.stderr
    assert _files(tmp_path / "by-place") == _files(source / name / "1")


def _files(folder: Path) -> dict[str, bytes]:
    """Return path -> content of a model's files, without the manifest that the transfer adds."""
    files = (each for each in folder.rglob("*") if each.is_file() and each.name != "manifest.json")
    return {each.relative_to(folder).as_posix(): each.read_bytes() for each in files}


def _typed(stack: Stack, folder: Path, source: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return a runner of ``cloudctl models`` in a project whose stack has these services and serves this model."""
    config = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())
    model = {"name": name, "uri": f"models:/{name}@{ALIAS}", "runtime": "mlserver", "cores": 1, "memory": "1GiB"}
    transfer = {"source": str(source), "endpoint": stack.s3.endpoint, "mlflow": stack.mlflow.uri}
    config["config"] |= {"inference-cloud:models": [model], "inference-cloud:transfer": transfer}
    project = folder / "project"
    project.mkdir()
    (project / "Pulumi.yaml").write_text("name: inference-cloud\nruntime: python\n")
    (project / "Pulumi.dev.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.chdir(project)
    logins = {"AWS_ENDPOINT_URL": stack.s3.endpoint, "AWS_ACCESS_KEY_ID": stack.s3.access_key}
    logins |= {"AWS_SECRET_ACCESS_KEY": stack.s3.secret_key.get_secret_value(), **stack.mlflow.environment()}
    for key, value in logins.items():
        monkeypatch.setenv(key, value)

    def typed(*words: str) -> str:
        done = CliRunner().invoke(app, ["models", *words, "--stack", "dev"])
        assert done.exit_code == 0, done.output
        return done.stdout

    return typed
