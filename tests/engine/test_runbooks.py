"""The runbooks of plans and losses, carried out in the lab: every marked block, its exit status, what it prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.runbook.page import read
from lab.runbook.play import play
from lab.runbook.stage import Stage
from lab.workspace import ROOT

PAGES = sorted((ROOT / "docs" / "runbooks").glob("*/*.md"))
REHEARSED = [page for page in PAGES if page.parent.name in ("plans", "losses")]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """One place for all pages: a stack that stands is brought up once, and copied."""
    return Stage(tmp_path_factory.mktemp("runbooks") / "lab")


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.xdist_group("runbooks")
@pytest.mark.parametrize("page", REHEARSED, ids=lambda page: page.stem)
def test_every_step_of_a_page_holds(stage: Stage, page: Path) -> None:
    found = read(page)
    assert play(found, stage.set(found), print) == len(found.runs)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_page_is_marked(page: Path) -> None:
    steps = read(page).steps  # raises where a block has no mark
    if page in REHEARSED:
        assert sum(step.kind == "run" for step in steps) >= 3


def test_the_four_plans_and_the_five_losses_have_a_page_each() -> None:
    assert {page.stem for page in REHEARSED} == {
        *(f"plan-{plan}" for plan in "abcd"),
        *("state-file", "vm-disk", "control-plane", "gpu-worker", "host"),
    }
