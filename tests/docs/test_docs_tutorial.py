"""The tutorial's marked blocks are run as they stand, one after the other, in a copy of the repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from doc_pages import ROOT, text

PAGE = "docs/tutorials/first-model.md"
MARKED = re.compile(r"^<!-- executed: lab -->\n```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
"""A comment right above a fence: its lines are run in the lab, each has to end with 0."""


def _blocks() -> list[str]:
    return MARKED.findall(text(PAGE))


def test_every_mark_stands_above_a_block() -> None:
    assert len(_blocks()) == text(PAGE).count("<!-- executed: lab -->") >= 4


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The repository as it is in the working tree, in a folder of its own: the rehearsals there are nobody's."""
    folder = tmp_path / "inference-cloud"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    return folder


@pytest.mark.engine
@pytest.mark.slow
def test_the_blocks_run_as_they_stand(clone: Path) -> None:
    dropped = ("PULUMI_", "CLOUD_", "LAB_", "MAKE", "MFLAGS")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
    environment |= {"PATH": f"{clone}/bin:{clone}/.venv/bin:{environment['PATH']}", "PACE": "0"}
    for block in _blocks():
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block], cwd=clone, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{block}\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}"
        if "gpus-held" in block:
            assert "refused, as it should be" in done.stdout
            assert "which hpc-gpu-1 (running, owner hpc) holds" in done.stdout
        if "make lab\n" in block:
            assert "18" in done.stdout or "CLOUD-7.1" in done.stdout
            assert "<svg" in (clone / "first.html").read_text()
        if "capacity" in block:
            assert "the plan fits" in done.stdout
    assert not (clone / "Pulumi.mine.yaml").exists()
    assert not (clone / ".lab" / "prod").exists()
    assert sorted(path.name for path in clone.iterdir() if path.name == ".cloud") == []
