"""The scripts that commands run, really run, with stand-ins for ssh, git, packer and Ansible first on PATH."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def bin_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


@pytest.fixture
def run(tmp_path: Path, bin_dir: Path) -> Run:
    """Run a script of the project's in a copy of the folders that it needs."""
    project = tmp_path / "project"
    for name in ("ansible", "packer", "components/scripts"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))

    def start(*words: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        path = f"{bin_dir}:{os.environ['PATH']}"
        return subprocess.run(
            words,
            cwd=project,
            env={"PATH": path, "HOME": str(tmp_path), **environment},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return start


def tool(folder: Path, name: str, body: str) -> Path:
    """Put an executable of that name into a folder; it is Bash."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/usr/bin/env bash\n{body}\n")
    path.chmod(0o755)
    return path


# ---- ansible/run.sh --------------------------------------------------------------------------------------------------

STEP = {"RUN_DIR": ".cloud/prod", "STACK": "prod", "SSH_KEY": "~/key", "NODES": "3"}
KUBESPRAY = {**STEP, "PROVISIONER": "kubespray", "KUBESPRAY_TAG": "v2.30.0", "KUBESPRAY_URL": "https://git.lan/k.git"}
K3S = {**STEP, "PROVISIONER": "k3s", "ANSIBLE_CORE": "2.19.14"}


@pytest.fixture
def ansible(bin_dir: Path, tmp_path: Path) -> Path:
    """Stand-ins for git, the virtual environment and ansible-playbook; returns the record of what was called."""
    record = tmp_path / "called"
    venv = f"""
if [[ "$1 $2" == "-m venv" ]]; then
  mkdir -p "$3/bin"
  printf '#!/usr/bin/env bash\\necho "pip $*" >> {record}\\n' > "$3/bin/python"
  cp {tmp_path}/play "$3/bin/ansible-playbook"
  chmod +x "$3/bin/"*
else
  exec {shutil.which("python3")} "$@"
fi"""
    tool(bin_dir, "python3", venv)
    tool(bin_dir, "git", f'echo "git $*" >> {record}; mkdir -p "${{@: -1}}"')
    tool(tmp_path, "play", f'echo "play $*" >> {record}\nexec {tmp_path}/playbook "$@"')
    tool(tmp_path, "playbook", "echo a play ran")
    return record


def test_kubespray_is_fetched_at_its_tag_once(run: Run, ansible: Path) -> None:
    for _ in range(2):
        assert run("ansible/run.sh", "preflight", **KUBESPRAY).returncode == 0
    called = ansible.read_text()
    assert called.count("git clone --quiet --depth 1 --branch v2.30.0 https://git.lan/k.git") == 1
    assert called.count("pip -m pip install") == 1
    assert called.count("preflight.yml") == 2


def test_a_fetch_that_was_cut_off_is_done_anew(run: Run, ansible: Path, tmp_path: Path, bin_dir: Path) -> None:
    tool(bin_dir, "git", 'mkdir -p "${@: -1}"; exit 128')
    assert run("ansible/run.sh", "preflight", **KUBESPRAY).returncode == 1
    assert not (tmp_path / "project/.cloud/cache/kubespray-v2.30.0").exists()
    tool(bin_dir, "git", 'mkdir -p "${@: -1}"')
    assert run("ansible/run.sh", "preflight", **KUBESPRAY).returncode == 0


@pytest.mark.parametrize(
    ("step", "plays"),
    [
        ("control-plane", ["playbooks/facts.yml", "cluster.yml --limit kube_control_plane:etcd"]),
        ("workers", ["playbooks/facts.yml", "scale.yml --limit kube_node:!kube_control_plane"]),
        ("workers-check", ["check.yml"]),
    ],
)
def test_each_kubespray_step_plays_its_part(run: Run, ansible: Path, step: str, plays: list[str]) -> None:
    done = run("ansible/run.sh", step, **KUBESPRAY)
    assert done.returncode == 0, done.stderr
    lines = [line for line in ansible.read_text().splitlines() if line.startswith("play ")]
    assert len(lines) == len(plays)
    for line, play in zip(lines, plays, strict=True):
        assert f" {play}" in line
        assert "/.cloud/prod/inventory/hosts.yaml" in line


def test_k3s_needs_no_kubespray(run: Run, ansible: Path) -> None:
    assert run("ansible/run.sh", "workers", **K3S).returncode == 0
    called = ansible.read_text()
    assert "k3s.yml --limit kube_control_plane[0]:kube_node" in called
    assert "git" not in called
    assert "ansible-core==2.19.14" in called


def test_a_failed_step_shows_the_end_of_its_log_and_where_it_is(run: Run, ansible: Path, tmp_path: Path) -> None:
    tool(tmp_path, "playbook", 'for n in $(seq 100); do echo "line $n"; done; echo "fatal: no route"; exit 2')
    done = run("ansible/run.sh", "control-plane", **KUBESPRAY)
    assert done.returncode == 1
    assert "kubernetes step control-plane failed for stack prod" in done.stderr
    assert "fatal: no route" in done.stderr
    assert "line 10\n" not in done.stderr
    assert f"{tmp_path}/project/.cloud/prod/logs/control-plane.log" in done.stderr
    assert "pulumi up --stack prod" in done.stderr
    assert "line 10\n" in (tmp_path / "project/.cloud/prod/logs/control-plane.log").read_text()


def test_the_second_play_does_not_run_after_the_first_failed(run: Run, ansible: Path, tmp_path: Path) -> None:
    tool(tmp_path, "playbook", "exit 2")
    assert run("ansible/run.sh", "control-plane", **KUBESPRAY).returncode == 1
    assert "cluster.yml" not in ansible.read_text()


def test_an_unknown_step_is_refused(run: Run, ansible: Path) -> None:
    done = run("ansible/run.sh", "party", **K3S)
    assert done.returncode == 1
    assert "no such step: party" in done.stderr


def test_the_kubeconfig_goes_to_stdout_and_to_a_private_file_only(run: Run, ansible: Path, tmp_path: Path) -> None:
    tool(tmp_path, "playbook", 'echo played; printf secret-token > "$PWD/../.cloud/prod/kubeconfig"')
    done = run("ansible/run.sh", "kubeconfig", **K3S)
    assert (done.returncode, done.stdout) == (0, "secret-token")
    file = tmp_path / "project/.cloud/prod/kubeconfig"
    assert file.stat().st_mode & 0o077 == 0
    assert "secret-token" not in (tmp_path / "project/.cloud/prod/logs/kubeconfig.log").read_text()


def test_the_inventory_is_written_anew_each_time(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "project/.cloud/prod/inventory"
    files = {"hosts.yaml": "all: {}\n", "group_vars/all/cluster.yml": "a: 1\n"}
    assert run("ansible/run.sh", "inventory", stdin=json.dumps(files), **K3S).returncode == 0
    assert (folder / "group_vars/all/cluster.yml").read_text() == "a: 1\n"
    assert run("ansible/run.sh", "inventory", stdin=json.dumps({"hosts.yaml": "b"}), **K3S).returncode == 0
    assert [path.name for path in folder.rglob("*")] == ["hosts.yaml"]


def test_no_file_of_the_inventory_leaves_its_folder(run: Run, tmp_path: Path) -> None:
    done = run("ansible/run.sh", "inventory", stdin=json.dumps({"../../../../outside": "x"}), **K3S)
    assert done.returncode == 1
    assert "leaves the folder" in done.stderr
    assert not list(tmp_path.rglob("outside"))
