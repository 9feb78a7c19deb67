"""``cloudctl init``: what it makes, what it leaves, and that no secret is shown."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from cluster.settings.model import Secrets
from tests.cloudctl.conftest import SETTINGS, Project, Run


@pytest.fixture
def key(project: Project) -> Path:
    path = project.folder / "keys" / "id_ed25519"
    project.settings(with_access(ssh_private_key_file=str(path)))
    return path


def with_access(**access: str) -> dict[str, Any]:
    return {**copy.deepcopy(SETTINGS), "inference-cloud:access": access}


def values(project: Project) -> dict[str, str]:
    log = project.backend / "values"
    lines = log.read_text().splitlines() if log.exists() else []
    return dict(json.loads(line) for line in lines)


def test_init_makes_the_stack_the_key_and_every_secret_and_shows_none(
    project: Project, cloudctl: Run, key: Path
) -> None:
    project.stacks()
    result = cloudctl("init", "prod")
    assert result.exit_code == 0, result.output
    assert project.calls()[0][:4] == ["stack", "select", "--create", "prod"]
    made = values(project)
    assert {path for path in made if ":secrets." in path} == {
        f"inference-cloud:secrets.{name}" for name in Secrets.made()
    }
    assert made["inference-cloud:access.ssh_public_key"].startswith("ssh-ed25519 ")
    assert key.stat().st_mode & 0o777 == 0o600
    passwords = [value for path, value in made.items() if ":secrets." in path]
    assert len(set(passwords)) == len(passwords)
    assert not any(password in result.output for password in passwords)
    assert not any(password in json.dumps(project.calls()) for password in passwords)
    for said in ("made an SSH key", "next: cloudctl capacity --stack prod"):
        assert said in result.stdout


def test_a_dry_run_says_what_is_missing_and_makes_nothing(project: Project, cloudctl: Run, key: Path) -> None:
    result = cloudctl("init", "prod", "--dry-run")
    assert result.exit_code == 0
    assert str(key) in result.stdout
    assert result.stdout.count("would make and encrypt secrets.") == len(Secrets.made())
    assert not key.exists()
    assert project.calls() == []


def test_if_missing_is_silent_and_leaves_the_engine_alone_where_all_is_there(project: Project, cloudctl: Run) -> None:
    settings = with_access(ssh_public_key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGVu x")
    settings["inference-cloud:secrets"] = {name: {"secure": "v1:AAAA:BBBB"} for name in Secrets.made()}
    project.settings(settings)
    result = cloudctl("init", "prod", "--if-missing")
    assert (result.exit_code, result.output) == (0, "")
    assert project.calls() == []


def test_what_is_there_stays(project: Project, cloudctl: Run, key: Path) -> None:
    first, *rest = Secrets.made()
    settings = with_access(ssh_private_key_file=str(key))
    settings["inference-cloud:secrets"] = {first: {"secure": "v1:AAAA:BBBB"}}
    project.settings(settings)
    assert cloudctl("init", "prod").exit_code == 0
    made = {path for path in values(project) if ":secrets." in path}
    assert made == {f"inference-cloud:secrets.{name}" for name in rest}


def test_a_stack_without_a_file_and_an_absent_engine_are_said_plainly(
    project: Project, cloudctl: Run, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = cloudctl("init", "staging")
    assert result.exit_code == 2
    assert "Pulumi.staging.yaml" in result.stderr
    monkeypatch.setenv("PATH", str(project.folder))
    result = cloudctl("init", "prod")
    assert result.exit_code == 3
    assert "make engine" in result.stderr
    assert not key.exists()
