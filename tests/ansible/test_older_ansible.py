"""Our playbooks under the ansible-core that Kubespray's older releases bring: then ours are run by that one too.

A venv of its own, from the package index; skipped where that is out of reach.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ansible.conftest import Worlds
from tests.ansible.kubespray_nodes import lay

CORE = "ansible-core==2.17.14"
"""What ansible 10.7.0 gets today, which Kubespray v2.29 and v2.30 pin (cluster/versions/kubernetes.py)."""


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A folder of programs with that ansible-core in it."""
    folder = tmp_path_factory.mktemp("ansible")
    uv = Path(sys.executable).parent / "uv"
    for words in (
        ["venv", "--quiet", "--python", sys.executable, folder / "venv"],
        ["pip", "install", "--quiet", CORE],
    ):
        environment = {**os.environ, "VIRTUAL_ENV": str(folder / "venv")}
        done = subprocess.run([uv, *words], env=environment, capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            pytest.skip(f"no {CORE} to be had: {(done.stderr.splitlines() or ['no reason given'])[-1]}")
    yield str(folder / "venv" / "bin")


@pytest.mark.slow
def test_what_is_there_and_how_it_is_can_be_asked(world: Worlds, older: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{older}:{os.environ['PATH']}")
    said = subprocess.run(["ansible-playbook", "--version"], capture_output=True, text=True, check=True).stdout
    assert said.startswith("ansible-playbook [core 2.17.")
    made = world(workers=1)
    lay(made)
    told = made.play("installed.yml").told
    assert {name: each["installed"]["kubernetes"] for name, each in told.items()} == {
        "cp-1": "1.34.3",
        "worker-1": "1.34.3",
    }
    ran = made.play("check.yml", check_etcd="", check_servers={"": ""})
    assert ran.status == 0, ran.output[-3000:]
    assert {each["name"] for each in ran.told["cp-1"]["cluster"]["nodes"]} == {"cp-1", "worker-1"}
    # Of others, preflight among them, only that this Ansible can read them.
    playbooks = Path(__file__).parent.parent.parent / "ansible"
    for name in ("preflight.yml", "probe_pods.yml", "kubeadm_nodes.yml"):
        words = ["ansible-playbook", "--syntax-check", "-i", "localhost,", name]
        done = subprocess.run(words, cwd=playbooks, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
