"""Kubespray and its Ansible: fetched once, at the pinned commit; cut off, begun anew; from a folder that is named."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cluster import versions
from cluster.settings.model import Kubernetes
from cluster.steps.errors import StepError
from cluster.steps.fetch import prepare, run

TAG = versions.KUBESPRAY_DEFAULT


class Machine:
    """A stand-in for git and Python: what was run, and what they answer."""

    def __init__(self, **broken: str) -> None:
        self.ran: list[str] = []
        self.commit = versions.KUBESPRAY[TAG].commit
        self.broken = broken
        self.changed = ""

    def __call__(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        line = " ".join(words)
        self.ran.append(line)
        for what, said in self.broken.items():
            if what in line:
                return subprocess.CompletedProcess(list(words), 128, "", said)
        if "clone" in words:
            Path(words[-1]).mkdir()
            (Path(words[-1]) / ".git").mkdir()
            (Path(words[-1]) / "requirements.txt").write_text("ansible==10.7.0\n")
        if "venv" in words:
            (Path(words[-1]) / "bin").mkdir(parents=True)
        return subprocess.CompletedProcess(list(words), 0, self.said(words), "")

    def said(self, words: Sequence[str]) -> str:
        return f"{self.commit}\n" if "rev-parse" in words else self.changed if "status" in words else ""


def wanted(**more: Any) -> Kubernetes:
    return Kubernetes(**({"kubespray_url": "https://git.lan/kubespray.git"} | more))


def test_kubespray_is_fetched_once(tmp_path: Path) -> None:
    machine = Machine()
    for _ in range(2):
        tools = prepare(wanted(), tmp_path, tmp_path / "log", run=machine)
    assert tools.kubespray == tmp_path / f"kubespray-{TAG}"
    assert tools.ansible == tmp_path / f"kubespray-{TAG}.venv" / "bin"
    assert sum("clone" in line for line in machine.ran) == 1
    assert sum("pip install" in line for line in machine.ran) == 1
    assert f"--branch {TAG} https://git.lan/kubespray.git" in machine.ran[0]


def test_a_tag_that_was_moved_is_refused_and_not_kept(tmp_path: Path) -> None:
    machine = Machine()
    machine.commit = "0" * 40
    with pytest.raises(StepError, match="the tag was moved"):
        prepare(wanted(), tmp_path, tmp_path / "log", run=machine)
    assert not list(tmp_path.glob("kubespray*"))


def test_a_fetch_that_failed_says_what_git_said_and_is_done_anew(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"fetching https://git.lan/kubespray.git .* failed: could not resolve host"):
        prepare(wanted(), tmp_path, tmp_path / "log", run=Machine(clone="could not resolve host"))
    assert not (tmp_path / f"kubespray-{TAG}").exists()
    prepare(wanted(), tmp_path, tmp_path / "log", run=Machine())


def test_a_login_in_the_address_is_not_told(tmp_path: Path) -> None:
    url = "https://me:swordfish@git.lan/kubespray.git"
    said = f"fatal: unable to access '{url}/': could not resolve host"
    with pytest.raises(StepError) as error:
        prepare(wanted(kubespray_url=url), tmp_path, tmp_path / "log", run=Machine(clone=said))
    assert "swordfish" not in str(error.value)
    assert "could not resolve host" in str(error.value)


def test_an_environment_that_was_cut_off_is_made_anew(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="PIP_INDEX_URL"):
        prepare(wanted(), tmp_path, tmp_path / "log", run=Machine(**{"pip install": "no matching distribution"}))
    machine = Machine()
    prepare(wanted(), tmp_path, tmp_path / "log", run=machine)
    assert any("-m venv" in line for line in machine.ran)


def test_a_folder_is_used_as_it_is_if_its_version_is_the_one(tmp_path: Path) -> None:
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "galaxy.yml").write_text(f"namespace: kubernetes_sigs\nversion: {TAG.removeprefix('v')}\n")
    machine = Machine()
    tools = prepare(wanted(kubespray_folder=str(folder)), tmp_path / "cache", tmp_path / "log", run=machine)
    assert tools.kubespray == folder
    assert not any("git" in line.split()[0] for line in machine.ran)
    (folder / "galaxy.yml").write_text("version: 2.10.0\n")
    with pytest.raises(StepError, match=r"holds Kubespray 2.10.0, not"):
        prepare(wanted(kubespray_folder=str(folder)), tmp_path / "cache", tmp_path / "log", run=machine)


def test_a_folder_that_is_no_checkout_is_named(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="no checkout of Kubespray"):
        prepare(wanted(kubespray_folder=str(tmp_path / "nowhere")), tmp_path / "cache", tmp_path / "log", run=Machine())


def test_what_was_fetched_is_looked_at_again_at_each_use(tmp_path: Path) -> None:
    prepare(wanted(), tmp_path, tmp_path / "log", run=Machine())
    moved = Machine()
    moved.commit = "0" * 40
    folder = tmp_path / f"kubespray-{TAG}"
    with pytest.raises(StepError, match=rf"is at commit 0{{40}}, not at .* rm -r {folder}"):
        prepare(wanted(), tmp_path, tmp_path / "log", run=moved)
    patched = Machine()
    patched.changed = " M roles/etcd/tasks/main.yml\n"
    with pytest.raises(StepError, match=r"roles/etcd/tasks/main\.yml changed; remove it"):
        prepare(wanted(), tmp_path, tmp_path / "log", run=patched)


def test_a_checkout_of_ones_own_is_held_to_the_commit_too(tmp_path: Path) -> None:
    folder = tmp_path / "checkout"
    (folder / ".git").mkdir(parents=True)
    (folder / "galaxy.yml").write_text(f"version: {TAG.removeprefix('v')}\n")
    given = wanted(kubespray_folder=str(folder))
    assert prepare(given, tmp_path / "cache", tmp_path / "log", run=Machine()).kubespray == folder
    patched = Machine()
    patched.changed = " M README.md\n"
    with pytest.raises(StepError, match=f"README.md changed; check out {TAG} there; or, .* take its .git away"):
        prepare(given, tmp_path / "cache", tmp_path / "log", run=patched)
    (folder / ".git").rmdir()
    assert prepare(given, tmp_path / "cache", tmp_path / "log", run=patched).kubespray == folder


@pytest.mark.parametrize("provisioner", ["k3s", "kubeadm"])
def test_the_others_need_ansible_alone(tmp_path: Path, provisioner: str) -> None:
    machine = Machine()
    tools = prepare(wanted(provisioner=provisioner), tmp_path, tmp_path / "log", run=machine)
    assert tools.kubespray is None
    assert any(f"ansible-core=={versions.ANSIBLE_CORE}" in line for line in machine.ran)
    assert not any("git" in line.split()[0] for line in machine.ran)


def test_a_program_that_is_not_there_is_named() -> None:
    done = run(["no-such-program-anywhere"])
    assert done.returncode == 127
    assert "no-such-program-anywhere" in done.stderr


def test_a_real_repository_with_a_tag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """git itself, on a repository here; only pip is played."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "requirements.txt").write_text("")
    git = ["git", "-C", str(source), "-c", "user.name=x", "-c", "user.email=x@x.x"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"], ["tag", "-a", "-m", "x", TAG]):
        subprocess.run([*git, *words], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    played = Machine()

    def some(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return run(words) if words[0] == "git" else played(words)

    with pytest.raises(StepError, match=f"is commit {commit}"):
        prepare(wanted(kubespray_url=str(source)), tmp_path / "cache", tmp_path / "log", run=some)
    pinned = {TAG: versions.KUBESPRAY[TAG].__class__(**(vars(versions.KUBESPRAY[TAG]) | {"commit": commit}))}
    monkeypatch.setattr(versions, "KUBESPRAY", pinned)
    tools = prepare(wanted(kubespray_url=str(source)), tmp_path / "cache", tmp_path / "log", run=some)
    assert tools.kubespray is not None
    assert (tools.kubespray / "requirements.txt").exists()
    (tools.kubespray / "requirements.txt").write_text("ansible==0.1\n")
    with pytest.raises(StepError, match=r"requirements.txt changed"):
        prepare(wanted(kubespray_url=str(source)), tmp_path / "cache", tmp_path / "log", run=some)
