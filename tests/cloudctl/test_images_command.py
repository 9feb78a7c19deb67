"""``cloudctl images``: what was built here, who uses it, and that only what nobody uses is deleted."""

from __future__ import annotations

import copy
import fcntl
import json
from pathlib import Path

import pytest
from pytest import MonkeyPatch

from cluster.render.image import base_digest, gpu_digest
from cluster.settings.load import from_file
from tests.cloudctl.conftest import SETTINGS, Project, Run

OLD = "base-0123456789ab.qcow2"


class Images:
    """A project with two stacks that boot from one image, and a folder with that image, one of nobody, and a rest."""

    def __init__(self, project: Project) -> None:
        self.project = project
        project.settings(SETTINGS, "dev")
        self.folder = project.folder / ".cloud" / "images"
        self.folder.mkdir(parents=True)
        packer = Path(__file__).parents[2] / "packer"
        (project.folder / "packer").symlink_to(packer)
        settings = from_file(project.folder / "Pulumi.prod.yaml")
        self.base, self.gpu = (
            f"{kind}-{digest(settings, packer)}.qcow2"
            for kind, digest in (("base", base_digest), ("gpu-worker", gpu_digest))
        )
        for name in (self.base, self.gpu, OLD):
            (self.folder / name).write_bytes(b"image")
            told = {"size_bytes": 5, "sha256": "a", "built": "2026-11-01T00:00:00Z"}
            (self.folder / name).with_suffix(".json").write_text(json.dumps(told))
        (self.folder / "base.log").touch()

    def names(self) -> set[str]:
        return {path.name for path in self.folder.iterdir() if not path.name.endswith((".json", ".log", ".lock"))}


@pytest.fixture
def built(project: Project) -> Images:
    return Images(project)


def test_each_image_is_shown_with_the_stacks_that_ask_for_it(built: Images, cloudctl: Run) -> None:
    (built.folder / built.gpu).write_bytes(b"cut")
    data = json.loads(cloudctl("images", "--json").stdout)
    assert {row["name"]: (row["used_by"], row["whole"]) for row in data["images"]} == {
        built.base: (["dev", "prod"], True),
        built.gpu: (["dev", "prod"], False),
        OLD: ([], True),
    }
    shown = cloudctl("images").stdout
    assert built.base in shown
    assert "dev, prod" in shown


def test_only_what_nobody_uses_is_deleted(built: Images, cloudctl: Run) -> None:
    dry = cloudctl("images", "--clean", "--dry-run")
    assert dry.stdout.startswith("would delete 1 of 0.0 GiB: ")
    assert cloudctl("images", "--clean", input="n\n").exit_code == 1
    assert built.names() == {built.base, built.gpu, OLD}
    done = cloudctl("images", "--clean", "--yes", "--json")
    assert json.loads(done.stdout)["deleted"] == [str(built.folder / OLD)]
    assert built.names() == {built.base, built.gpu}
    assert not (built.folder / OLD).with_suffix(".json").exists()
    assert cloudctl("images", "--clean").stdout == "there is nothing to delete\n"


def test_an_image_that_a_machine_is_pinned_to_stays(built: Images, cloudctl: Run) -> None:
    pinned = copy.deepcopy(SETTINGS)
    pinned["inference-cloud:machines"][0]["image"] = OLD[5:17]
    built.project.settings(pinned, "dev")
    assert cloudctl("images", "--clean", "--yes").exit_code == 0
    assert OLD in built.names()


def test_a_stack_file_that_cannot_be_read_may_use_anything(built: Images, cloudctl: Run) -> None:
    (built.project.folder / "Pulumi.dev.yaml").write_text("config: {inference-cloud:hosts: 7}\n")
    done = cloudctl("images", "--clean", "--yes")
    assert done.exit_code == 2
    assert built.names() == {built.base, built.gpu, OLD}
    assert "a stack file cannot be read, so what it uses is not known" in cloudctl("images").stdout


def test_what_killed_builds_left_goes_and_what_a_build_is_at_work_in_stays(built: Images, cloudctl: Run) -> None:
    dead, busy = built.folder / ".base.aB3dEf", built.folder / ".gpu-worker.aB3dEf"
    for folder in (dead, busy):
        folder.mkdir()
        (folder / "disk").write_bytes(b"gigabytes")
    with (built.folder / ".gpu-worker.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert f"{dead} was left by a build that was killed" in cloudctl("images").stdout
        assert json.loads(cloudctl("images", "--json").stdout)["left_by_killed_builds"] == [str(dead)]
        assert cloudctl("images", "--clean", "--yes").exit_code == 0
    assert built.names() == {built.base, built.gpu, busy.name}


def test_an_image_that_is_being_built_meanwhile_is_left(built: Images, cloudctl: Run, monkeypatch: MonkeyPatch) -> None:
    with (built.folder / ".base.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = cloudctl("images", "--clean", "--yes")
    assert done.exit_code == 1
    assert f"{OLD}: a build is at work there" in done.stdout
    assert OLD in built.names()
