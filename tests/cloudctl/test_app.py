"""The command tree: help that teaches, exit codes, no traceback; the wrapper; the engine's and the API's answers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cloudctl import exits, live
from cloudctl.app import app
from cloudctl.engine import Engine
from cloudctl.exits import CannotTellError
from cluster.budget import Finding, PlanRefusedError
from cluster.problems import InputError, Problem
from cluster.settings import load
from tests.cloudctl.conftest import Project, Run

ROOT = Path(__file__).resolve().parents[2]


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        yield (*path, name), command
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))


ALL = dict(commands(typer.main.get_command(app)))


def test_the_commands_are_those_of_the_requirement() -> None:
    assert {name[0] for name in ALL} == {
        *(
            "status",
            "capacity",
            "gpus",
            "phases",
            "data",
            "bench",
            "host",
            "config",
            "versions",
            "images",
            "init",
            "up",
            "start",
            "stop",
            "flip",
            "preflight",
            "net",
            "models",
            "recover",
            "report",
            "explain",
            "backup",
            "certs",
        )
    }


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_command_has_help_with_an_example_in_100_columns(name: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*name, "--help"], env={"COLUMNS": "100"})
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 100
    if not hasattr(ALL[name], "commands") or name in (("gpus",), ("versions",)):
        assert f"cloudctl {' '.join(name)}" in result.stdout.split("Options:")[0].split("Example", 1)[1]


def test_the_first_page_lists_exit_codes_and_whole_sentences(cloudctl: Run) -> None:
    result = cloudctl("--help")
    for code in ("0  done", "1  refused", "2  bad input", "3  could not find out"):
        assert code in result.stdout
    assert "..." not in result.stdout.split("Commands:")[1]


def test_a_wrong_option_is_usage(cloudctl: Run) -> None:
    assert cloudctl("status", "--nonsense").exit_code == 2
    assert cloudctl("nonsense").exit_code == 2
    assert cloudctl("phases", "--format", "png").exit_code == 2


FINDING = Finding("insufficient-ram", "refuse", "ws", None, "Insufficient ram: need 96 GB, have 64 GB", "ask for less")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("x.yaml", [Problem("a", 1, "is wrong", "mend it")]), 2, "cannot use x.yaml: 1 problem"),
        (PlanRefusedError([FINDING]), 1, "need 96 GB, have 64 GB"),
        (CannotTellError("nobody answers; wait"), 3, "could not find out: nobody answers; wait"),
        (exits.RefusedError("no; ask first"), 1, "refused: no; ask first"),
        (PermissionError(13, "Permission denied", "/x"), 2, "cannot use /x: Permission denied"),
        (RuntimeError("oops"), 3, "cloudctl itself failed: RuntimeError: oops"),
    ],
)
def test_errors_become_messages_and_exit_codes(error: Exception, code: int, said: str) -> None:
    sample = typer.Typer(cls=exits.Group, pretty_exceptions_enable=False)

    @sample.callback()
    def root(debug: bool = False) -> None: ...

    @sample.command("fail")
    def fail() -> None:
        raise error

    result = CliRunner().invoke(sample, ["fail"])
    assert result.exit_code == code
    assert said in result.stderr
    assert "Traceback" not in result.output
    shown = CliRunner().invoke(sample, ["--debug", "fail"])
    assert shown.exit_code == code
    assert "Traceback" in shown.stderr


def test_the_wrapper_runs_from_any_folder(tmp_path: Path) -> None:
    if not (ROOT / ".venv" / "bin" / "python").exists():
        pytest.skip("the wrapper needs .venv, which make setup makes")
    done = subprocess.run(
        [ROOT / "bin" / "cloudctl", "phases", "--json"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["tasks"]) == 18


def test_the_wrapper_names_the_remedy_without_an_environment(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    wrapper = tmp_path / "bin" / "cloudctl"
    wrapper.write_bytes((ROOT / "bin" / "cloudctl").read_bytes())
    wrapper.chmod(0o755)
    done = subprocess.run([wrapper], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "make setup" in done.stderr


def answer(code: int, out: str = "", err: str = "") -> Any:
    return lambda *_, **__: subprocess.CompletedProcess([], code, out, err)


def late(*_: Any, **__: Any) -> Any:
    raise subprocess.TimeoutExpired("pulumi", 120)


@pytest.mark.parametrize(
    ("runner", "said"),
    [
        (answer(255, err="error: could not deserialize"), "could not deserialize"),
        (answer(0, out="not json"), "is not JSON"),
        (late, "did not answer within 120 s"),
    ],
)
def test_an_engine_that_fails_is_told_in_its_own_words(project: Project, runner: Any, said: str) -> None:
    with pytest.raises(CannotTellError, match=said):
        Engine(project.folder, runner=runner).export("prod")


def test_the_engine_gets_the_projects_python_first_and_what_was_built_last(project: Project) -> None:
    seen: dict[str, str] = {}

    def runner(*_: Any, env: dict[str, str], **__: Any) -> subprocess.CompletedProcess[str]:
        seen.update(env)
        return subprocess.CompletedProcess([], 0, "[]", "")

    Engine(project.folder, {"PULUMI_HOME": "/elsewhere"}, runner).stack_names()
    path = seen["PATH"].split(os.pathsep)
    assert path[0] == f"{project.folder}/.venv/bin"
    assert path[-2:] == [f"{project.folder}/.lab/toolchain/bin", f"{project.folder}/.lab/toolchain/plugins"]
    assert seen["PULUMI_HOME"] == "/elsewhere"


def nodes(project: Project, runner: Any, monkeypatch: pytest.MonkeyPatch, *, kubectl: bool = True) -> Any:
    settings = load.from_file(project.folder / "Pulumi.prod.yaml")
    live_hosts = tuple(host.model_copy(update={"facts": None}) for host in settings.hosts)
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/kubectl" if kubectl else None)
    return live.nodes(settings.model_copy(update={"hosts": live_hosts}), project.folder / "kubeconfig", runner)


def test_nodes_are_ready_as_the_api_says(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def item(name: str, ready: str) -> dict[str, Any]:
        return {"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": ready}]}}

    assert "there is no" in nodes(project, answer(0), monkeypatch)
    (project.folder / "kubeconfig").write_text("")
    said = json.dumps({"items": [item("control-1", "True"), item("gpu-1", "Unknown")]})
    assert nodes(project, answer(0, said), monkeypatch) == {"control-1": "ready", "gpu-1": "not-ready"}
    assert nodes(project, answer(1, err="connection refused"), monkeypatch) == "kubectl get: connection refused"
    assert "did not answer" in nodes(project, late, monkeypatch)
    assert "no kubectl" in nodes(project, answer(0), monkeypatch, kubectl=False)


def test_the_version_is_the_projects_own(cloudctl: Run) -> None:
    from cloudctl.release import version

    result = cloudctl("--version")
    assert (result.exit_code, result.stdout) == (0, f"cloudctl {version()}\n")
