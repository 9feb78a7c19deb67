"""``python -m cluster.steps``: its words, its environment, what it prints and how it ends; Ansible is a stand-in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster import versions
from cluster.steps.inputs import inventory_files
from tests.components.samples import raw, settings

ROOT = Path(__file__).parent.parent.parent
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a step of a k3s stack whose Ansible is there already: a script that tests write."""
    venv = tmp_path / "cache" / f"ansible-core-{versions.ANSIBLE_CORE}.venv"
    (venv / "bin").mkdir(parents=True)
    (venv / ".complete").touch()
    playbook(tmp_path, "exit 0")

    def start(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "RUN_DIR": str(tmp_path / "prod"),
            "STACK": "prod",
            "CACHE_DIR": str(tmp_path / "cache"),
        }
        command = [sys.executable, "-m", "cluster.steps", *words]
        return subprocess.run(command, cwd=ROOT, env=environment, input=stdin, capture_output=True, text=True)

    files = inventory_files(settings(raw() | {"kubernetes": {"provisioner": "k3s"}}))
    assert start("inventory", stdin=json.dumps(files)).returncode == 0
    return start


def playbook(folder: Path, body: str) -> None:
    """Let ansible-playbook be this."""
    path = folder / "cache" / f"ansible-core-{versions.ANSIBLE_CORE}.venv" / "bin" / "ansible-playbook"
    path.write_text(f"#!/usr/bin/env bash\n{body}\n")
    path.chmod(0o755)


def test_a_step_says_where_its_log_is_and_what_it_did(run: Run, tmp_path: Path) -> None:
    done = run("control-plane")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "control plane control-1: Kubernetes 1.34.3\n"
    assert f"control-plane: log {tmp_path}/prod/logs/control-plane/" in done.stderr


def test_a_failed_step_has_no_traceback(run: Run, tmp_path: Path) -> None:
    event = {"event": "failed", "host": "worker-1", "task": "Join", "message": "[ERROR Swap]: swap is on"}
    playbook(tmp_path, f"echo the whole story; echo '{json.dumps(event)}' >&$CLOUD_ANSIBLE_EVENTS; exit 2")
    done = run("control-plane")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "worker-1: this step: failed at: Join" in done.stderr
    assert "swapoff" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "prod/logs/control-plane.log").read_text() == "the whole story\n"


def test_the_kubeconfig_goes_to_stdout_and_to_a_private_file_only(run: Run, tmp_path: Path) -> None:
    playbook(tmp_path, f"umask 022; echo played; printf secret-token > {tmp_path}/prod/kubeconfig")
    done = run("kubeconfig")
    assert (done.returncode, done.stdout) == (0, "secret-token\n")
    assert "secret-token" not in done.stderr
    assert "secret-token" not in (tmp_path / "prod/logs/kubeconfig.log").read_text()


@pytest.mark.parametrize("words", [(), ("party",), ("workers", "workers")])
def test_bad_usage_names_the_steps(run: Run, words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert "control-plane-check" in done.stderr


def test_the_inventory_is_written_anew_each_time(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "prod/inventory"
    assert (folder / "group_vars/all/cluster.yml").exists()
    assert run("inventory", stdin=json.dumps({"hosts.yaml": "b"})).returncode == 0
    assert [path.name for path in folder.rglob("*")] == ["hosts.yaml"]


def test_no_file_of_the_inventory_leaves_its_folder(run: Run, tmp_path: Path) -> None:
    done = run("inventory", stdin=json.dumps({"../../../outside": "x"}))
    assert done.returncode == 1
    assert "leaves the folder" in done.stderr
    assert not list(tmp_path.rglob("outside"))
