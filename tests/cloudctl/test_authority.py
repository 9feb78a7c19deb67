"""The gateway's authority: named by the settings, found where it was left, fetched from the cluster where it is not."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

from cloudctl import authority, measuring, transferring
from cloudctl.engine import Engine
from cloudctl.project import choose
from cluster.settings.model import Settings
from tests.cloudctl.conftest import SETTINGS, Project, Run
from tests.kserve.standin import KServe
from tests.loadtest.certificates import for_localhost
from tests.loadtest.model_server import serving
from tests.render.stacks import PASSWORDS, settings

PEM = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"
CLASSIFIER = {"name": "classifier", "uri": "models:/c@champion", "runtime": "mlserver", "cores": 1, "memory": "1GiB"}
LLM = {"name": "m", "uri": "models:/m@champion", "runtime": "vllm", "gpus": 1}
QUICK = ("--input", "request.json", "--seconds", "1", "--warm-up", "0")


class Cluster(KServe):
    """A cluster whose CA is in its Secret."""

    def signs_by(self, pem: str) -> None:
        self.change(answers={"get secret cluster-ca": base64.b64encode(pem.encode()).decode()})

    @property
    def asked(self) -> int:
        return sum("cluster-ca" in words for words in self["told"])


@pytest.fixture
def cluster(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    made = Cluster(folder)
    made.signs_by(PEM)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    config = project.folder / ".cloud/prod/kubeconfig"
    config.parent.mkdir(parents=True)
    config.write_text("")
    return made


def test_it_is_fetched_once_and_again_for_another_cluster(project: Project, cluster: Cluster) -> None:
    for _ in range(2):
        found = authority.file("prod", settings())
        assert found == project.folder / ".cloud/prod/ca.crt" and found.read_text() == PEM
    assert cluster.asked == 1
    cluster.signs_by(PEM.replace("MII", "MIJ"))
    os.utime(project.folder / ".cloud/prod/kubeconfig", (2e9, 2e9))  # the cluster was made anew
    assert authority.file("prod", settings()) == found and "MIJ" in found.read_text()


def test_what_the_settings_name_is_taken(cluster: Cluster) -> None:
    mine: Settings = settings(transfer={"ca_file": "/etc/site/ca.crt"})
    assert authority.file("prod", mine) == Path("/etc/site/ca.crt")
    assert cluster.asked == 0


@pytest.mark.parametrize("answer", ["!Unable to connect to the server", "", "bm8gY2VydGlmaWNhdGU="])
def test_what_cannot_be_fetched_is_told_with_a_remedy(
    cluster: Cluster, answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.change(answers={"get secret cluster-ca": answer})
    assert authority.file("prod", settings()) is None
    told = capsys.readouterr().err
    assert "the cluster's CA cannot be fetched" in told and "transfer.ca_file" in told


def test_without_a_cluster_nobody_is_asked(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert authority.file("prod", settings()) is None
    assert capsys.readouterr().err == ""


def test_transfer_and_promotion_trust_it(cluster: Cluster, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.settings(SETTINGS)
    monkeypatch.setattr(Engine, "secrets", lambda *_: dict.fromkeys(PASSWORDS, "word"))
    place = transferring.place(choose("prod", None), Path(), None, register=True, environment={})
    assert place.s3.ca_file == str(project.folder / ".cloud/prod/ca.crt")
    assert place.mlflow is not None and place.mlflow.ca_file == place.s3.ca_file


def test_a_load_test_trusts_it(cluster: Cluster, project: Project, cloudctl: Run, tmp_path: Path) -> None:
    project.settings({**SETTINGS, "inference-cloud:models": [CLASSIFIER]})
    certificate = for_localhost(tmp_path / "localhost.pem")
    text = certificate.read_text()
    cluster.signs_by(text[text.index("-----BEGIN CERTIFICATE") :])
    body = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]}
    (project.folder / "request.json").write_text(json.dumps(body))
    with serving(certificate=certificate) as url:
        done = cloudctl("bench", "classifier", "--stack", "prod", "--url", url, *QUICK, "--json")
    verdicts = {each["name"]: each["verdict"] for each in json.loads(done.stdout)["targets"]}
    assert verdicts["failed"] == "met", done.output


def test_who_answers_without_a_certificate_needs_none(cluster: Cluster) -> None:
    assert measuring.authority("prod", settings(), None, "http://127.0.0.1:8080") is None
    assert cluster.asked == 0


@pytest.mark.parametrize("command", [("history", "m"), ("promote", "m", "2", "--yes")])
def test_a_certificate_that_is_not_trusted_is_told_with_a_remedy(
    project: Project, cloudctl: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    """No kubeconfig here: nobody to fetch the authority from."""
    project.settings({**SETTINGS, "inference-cloud:models": [LLM]})
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with serving(certificate=for_localhost(tmp_path / "localhost.pem")) as url:
        for name, value in (("MLFLOW_TRACKING_URI", url), ("AWS_ENDPOINT_URL", url), ("AWS_ACCESS_KEY_ID", "a")):
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
        done = cloudctl("models", *command, "--stack", "prod")
    assert done.exit_code == 1 and "transfer.ca_file" in done.output
    assert "Traceback" not in done.output
