"""kubectl as the program runs it: a small program in its place says what it was asked, and fails in every way."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from cluster.kubectl import Kubectl, KubectlError


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kubectl:
    (tmp_path / "kubeconfig").touch()
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return Kubectl(tmp_path / "kubeconfig", "models")


def answers(kubectl: Kubectl, script: str) -> None:
    program = kubectl.kubeconfig.parent / "kubectl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_a_question_has_the_kubeconfig_the_namespace_and_a_limit(kubectl: Kubectl) -> None:
    answers(kubectl, 'echo "$@"; cat')
    asked = f"--kubeconfig={kubectl.kubeconfig} --namespace=models --request-timeout=30s get pods\n"
    assert kubectl.ask("get", "pods") == asked
    assert kubectl.ask("get", "pods", given="from stdin") == asked + "from stdin"
    everywhere = Kubectl(kubectl.kubeconfig, wait_s=5)
    assert everywhere.ask("get", "nodes") == f"--kubeconfig={kubectl.kubeconfig} --request-timeout=5s get nodes\n"


def test_objects_are_read_and_nothing_is_none(kubectl: Kubectl) -> None:
    answers(kubectl, """case "$*" in *"--output=json") echo '{"items": []}';; esac""")
    assert kubectl.json("get", "pods") == {"items": []}
    answers(kubectl, "true")
    assert kubectl.json("get", "pod", "x", "--ignore-not-found") is None
    answers(kubectl, "echo no; echo json")
    with pytest.raises(KubectlError, match=r"^kubectl get printed no JSON: 'no json'$"):
        kubectl.json("get", "pods")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo Unable to connect >&2; echo to the server >&2; exit 1", "kubectl get: Unable to connect to the server"),
        ("exit 7", "kubectl get: status 7"),
    ],
)
def test_a_failure_is_one_line_in_kubectls_words(kubectl: Kubectl, script: str, reason: str) -> None:
    answers(kubectl, script)
    with pytest.raises(KubectlError) as error:
        kubectl.ask("get", "pods")
    assert str(error.value) == reason


def test_what_is_missing_is_said_before_anything_is_run(kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert kubectl.missing == "there is no kubectl on PATH"
    with pytest.raises(KubectlError, match="there is no kubectl on PATH"):
        kubectl.ask("get", "pods")
    kubectl.kubeconfig.unlink()
    with pytest.raises(KubectlError, match=f"there is no {kubectl.kubeconfig}"):
        kubectl.ask("get", "pods")


def test_an_api_that_does_not_answer_is_given_up(kubectl: Kubectl) -> None:
    def late(command: list[str], **told: float) -> subprocess.CompletedProcess[str]:
        raise subprocess.TimeoutExpired(command, told["timeout"])

    answers(kubectl, "true")
    with pytest.raises(KubectlError, match="the Kubernetes API did not answer within 20 s"):
        Kubectl(kubectl.kubeconfig, wait_s=10, run=late).ask("get", "pods")
