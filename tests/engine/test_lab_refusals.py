"""A plan that a host cannot carry is refused before anything changes: by the preview, and by ``up --skip-preview``."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.engine import run
from lab.setup import initialise
from lab.workspace import ROOT, prepare
from tests.engine.rehearsal import Lab

pytestmark = pytest.mark.engine

REFUSALS = {
    "below-minimum": ("Insufficient ram: need 96 GB, have 64 GB", "Insufficient cpu: need 40 cores, have 16 cores"),
    "gpus-held": ("running", "holds"),
    "shared-group": ("IOMMU group",),
    "no-iommu": ("IOMMU",),
    "old-gpu": ("6.1", "7.0"),
}


@pytest.mark.parametrize("twin", sorted(REFUSALS))
def test_the_preview_is_refused_with_the_reason(lab: Lab, twin: str) -> None:
    done = lab("up", "--host-file", f"lab/hosts/{twin}.yaml", "--preview-only")
    assert done.returncode == 1, done.stdout + done.stderr
    for words in REFUSALS[twin]:
        assert words in done.stdout
    assert "Traceback" not in done.stdout
    assert not (lab.place.dir / "journal.jsonl").exists()


def test_nothing_is_created_by_an_up_without_preview(lab: Lab) -> None:
    prepare(lab.place, ROOT / "lab/hosts/gpus-held.yaml", None, 0)
    initialise(lab.place)
    outcome = run(lab.place, "up")
    assert outcome.status != 0
    journal = lab.place.dir / "journal.jsonl"
    assert not journal.exists() or journal.read_text() == ""
    made = lab.export()["deployment"].get("resources") or []
    assert [each["type"] for each in made] in ([], ["pulumi:pulumi:Stack"])


def test_a_twin_that_is_not_there_is_one_clear_line(lab: Lab, tmp_path: Path) -> None:
    done = lab("up", "--host-file", str(tmp_path / "nothing.yaml"))
    assert done.returncode == 2
    assert "write one with: cloudctl host facts" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_an_unknown_stack_names_the_known_ones(tmp_path: Path) -> None:
    from lab.workspace import Workspace

    done = Lab(Workspace("nonesuch", tmp_path / "lab"))("up")
    assert done.returncode == 2
    assert "dev" in done.stdout
    assert "prod" in done.stdout
