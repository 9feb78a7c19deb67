"""Asking as ``cloudctl status`` does: real services, through a stand-in for kubectl that really forwards."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cloudctl.answers import Asker
from cloudctl.exits import CannotTellError
from cluster.health.model import Check
from cluster.services.reach import Inside, UnreachableError, port_forward
from cluster.settings.model import Model
from lab.services.stack import Stack
from tests.kserve.forwarding import put_on_path
from tests.services.clients import train

pytestmark = [pytest.mark.daemon, pytest.mark.xdist_group("services")]


@pytest.fixture
def targets(stack: Stack) -> dict[str, str]:
    return {
        "object-store/minio/9000": f"{stack.hosts.store}:9000",
        "database/postgres-rw/5432": f"{stack.hosts.database}:5432",
        "mlflow/mlflow/80": f"{stack.hosts.mlflow}:5000",
    }


@pytest.fixture
def kubeconfig(targets: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    put_on_path(tmp_path / "bin", targets)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    file = tmp_path / "kubeconfig"
    file.write_text("stand-in")
    return file


def passwords(stack: Stack) -> Mapping[str, Any]:
    return {name: getattr(stack.secrets, name).get_secret_value() for name in type(stack.secrets).made()}


def asked(stack: Stack, kubeconfig: Path, **changes: Any) -> dict[str, Check]:
    settings = stack.settings.model_copy(update={"models": (), **changes})
    found = Asker(settings, kubeconfig, lambda: passwords(stack), environment={}).checks()
    return {check.name: check for check in found}


def test_all_services_are_up_and_each_says_how_long_it_took(stack: Stack, kubeconfig: Path) -> None:
    found = asked(stack, kubeconfig)
    assert {name: (check.state, check.reason) for name, check in found.items()} == {
        "minio": ("up", ""),
        "postgresql": ("up", ""),
        "mlflow": ("up", ""),
    }
    assert all(check.latency_ms is not None and check.latency_ms > 0 for check in found.values())


@pytest.mark.parametrize("name", ["minio", "postgresql"])
def test_a_killed_service_is_down_and_up_again_when_it_is_back(stack: Stack, kubeconfig: Path, name: str) -> None:
    stack.processes.kill(name)
    try:
        down = asked(stack, kubeconfig)
    finally:
        stack.processes.start(name)
    assert down[name].state == "down"
    assert down[name].reason.startswith("no answer")
    assert asked(stack, kubeconfig)[name].state == "up"


def test_a_service_that_the_cluster_does_not_have_is_down_in_kubectls_words(
    stack: Stack, kubeconfig: Path, targets: dict[str, str]
) -> None:
    del targets["object-store/minio/9000"]
    put_on_path(kubeconfig.parent / "bin", targets)
    check = asked(stack, kubeconfig)["minio"]
    assert check.state == "down"
    assert 'services "minio" not found' in check.reason


def test_a_password_that_the_services_do_not_have_is_told(stack: Stack, kubeconfig: Path) -> None:
    wrong = dict.fromkeys(passwords(stack), "wrong")
    settings = stack.settings.model_copy(update={"models": ()})
    found = {each.name: each for each in Asker(settings, kubeconfig, lambda: wrong, environment={}).checks()}
    assert found["minio"].state == "up"  # it tells its health to everybody
    assert "password authentication failed" in found["postgresql"].reason
    assert "does not take this login" in found["mlflow"].reason
    assert "wrong" not in " ".join(str(check) for check in found.values())


def test_without_passwords_what_needs_them_is_not_asked(stack: Stack, kubeconfig: Path) -> None:
    def none() -> Mapping[str, Any]:
        raise CannotTellError("no passphrase")

    settings = stack.settings.model_copy(update={"models": ()})
    found = {each.name: each for each in Asker(settings, kubeconfig, none, environment={}).checks()}
    assert [(name, check.state) for name, check in found.items()] == [
        ("minio", "up"),
        ("postgresql", "not-asked"),
        ("mlflow", "not-asked"),
    ]
    assert found["mlflow"].row()["ok"] is None


def test_the_environment_wins_over_the_cluster(stack: Stack, tmp_path: Path) -> None:
    settings = stack.settings.model_copy(update={"models": ()})
    asker = Asker(settings, tmp_path / "none", dict, environment=stack.environment())
    assert [check.state for check in asker.checks()] == ["up", "up", "up"]


def test_a_rehearsal_is_not_asked(stack: Stack, tmp_path: Path) -> None:
    found = Asker(stack.settings, tmp_path / "none", dict, environment={}).checks(lab=True)
    assert {(check.state, check.reason) for check in found} == {("rehearsed", "rehearsed, not asked")}


def test_a_model_is_asked_by_the_v2_protocol_and_one_that_is_not_loaded_is_down(
    stack: Stack, kubeconfig: Path, targets: dict[str, str], tmp_path: Path
) -> None:
    train(stack, str(tmp_path / "model"), "9")
    url = stack.serve(tmp_path / "model", "asked")
    try:
        where = url.removeprefix("http://")
        put_on_path(
            kubeconfig.parent / "bin",
            targets | {"models/asked-predictor/80": where, "models/other-predictor/80": where},
        )
        models = tuple(
            Model.model_validate(
                {"name": name, "uri": "s3://models/x/1", "version": "1", "runtime": "mlserver", **more}
            )
            for name, more in (("asked", {}), ("other", {}), ("idle", {"min_replicas": 0}))
        )
        found = asked(stack, kubeconfig, models=models)
        assert found["asked"].state == "up"
        assert found["asked"].asked.endswith("/v2/models/asked/ready")
        assert (found["other"].state, "404" in found["other"].reason) == ("down", True)
        assert (found["idle"].state, "min_replicas is 0" in found["idle"].reason) == ("stopped", True)
    finally:
        stack.stop("asked")


def test_a_forward_ends_with_its_block(stack: Stack, kubeconfig: Path) -> None:
    del stack
    with port_forward(kubeconfig, Inside("object-store", "minio", 9000)):
        (pid,) = _forwards(kubeconfig)
    for _ in range(100):
        if not _forwards(kubeconfig):
            return
        time.sleep(0.05)
    os.kill(pid, 9)
    raise AssertionError("kubectl outlived the block that needed it")


def test_a_kubectl_that_says_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = tmp_path / "kubectl"
    silent.write_text("#!/bin/sh\nexec sleep 60\n")
    silent.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    target = Inside("object-store", "minio", 9000)
    with pytest.raises(UnreachableError, match="did not answer within"), port_forward(tmp_path / "k", target, 0.2):
        raise AssertionError("not reached")


def _forwards(kubeconfig: Path) -> list[int]:
    """Return the pids of forwards that were given this kubeconfig."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if str(kubeconfig).encode() in words and b"port-forward" in words:
                found.append(int(folder.name))
    return found
