"""The engine, or the program, is killed at every step of an update and of a destroy, and the next run goes on.

A step is an operation that changes something. The engine is killed by SIGKILL after the change was made and before it
could hear of it, which is the worst moment there is: the world holds what the state does not.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lab.__main__ import leftovers
from lab.engine import run
from lab.workspace import Workspace
from tests.engine.kills import (
    Standing,
    finish,
    leased,
    make_ready,
    run_until_killed,
    share_secrets,
    small_stack,
    standing,
)
from tests.engine.rehearsal import Lab

pytestmark = pytest.mark.engine

STEPS = 130
"""More than an update of the small stack has; a step that is not there is skipped over, and a test counts them."""

SAMPLE = (39,)
EVERY = 23
"""Of how many steps the slow tests try one; ``make test-kills`` tries the others."""

KILLED_IN_VAIN = 5
"""A program that has told the engine everything can be killed without harm: that is so at the last steps."""


class Undisturbed:
    """One good run of the small stack, kept on disk: what stands after it, and how many steps it took."""

    def __init__(self, folder: Path) -> None:
        self.settings = small_stack(folder)
        self.lab = Lab(Workspace("prod", folder / "lab"))
        self._kept = folder / "kept"
        make_ready(self.lab, self.settings)
        finish(self.lab, "up")
        self.standing: Standing = standing(self.lab.place)
        journal = (self.lab.place.dir / "journal.jsonl").read_text().splitlines()
        self.steps = sum(1 for line in journal if json.loads(line)["op"] in ("create", "update", "delete"))
        shutil.copytree(self.lab.place.home, self._kept, symlinks=True)

    def another(self, lab: Lab) -> Lab:
        """Make ``lab`` a rehearsal with the same secrets."""
        share_secrets(lab, Lab(Workspace("prod", self._kept)))
        return lab

    def again(self) -> Lab:
        """Return the rehearsal as it stood after the good run, whatever has become of it since."""
        shutil.rmtree(self.lab.place.home)
        shutil.copytree(self._kept, self.lab.place.home, symlinks=True)
        return self.lab


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return Undisturbed(tmp_path_factory.mktemp("undisturbed"))


def _fault(effect: str, step: int) -> list[dict[str, Any]]:
    return [{"resource": ".", "operation": "change", "effect": effect, "nth": step, "after": True}]


def _every_step(sample: tuple[int, ...]) -> list[Any]:
    """Return the steps; those outside the sample are slow tests, most of them only for an exhaustive run.

    The sample shares one undisturbed run.
    """
    others = [step for step in range(1, STEPS + 1) if step not in sample]
    most = [pytest.mark.slow, pytest.mark.exhaustive]
    rest = [pytest.param(step, marks=pytest.mark.slow if step % EVERY == 0 else most) for step in others]
    return [*(pytest.param(step, marks=pytest.mark.xdist_group("kills")) for step in sample), *rest]


@pytest.mark.xdist_group("kills")
def test_the_steps_of_the_small_stack_are_all_among_those_tried(undisturbed: Undisturbed) -> None:
    assert max(SAMPLE) < undisturbed.steps <= STEPS


@pytest.mark.parametrize("step", _every_step(SAMPLE))
def test_an_up_whose_engine_is_killed_goes_on(lab: Lab, undisturbed: Undisturbed, step: int) -> None:
    if step > undisturbed.steps:
        pytest.skip(f"an update has {undisturbed.steps} steps")
    make_ready(undisturbed.another(lab), undisturbed.settings, _fault("kill-engine", step))
    assert run_until_killed(lab, "up")
    finish(lab, "up")
    assert standing(lab.place) == undisturbed.standing


@pytest.mark.xdist_group("kills")
def test_an_up_whose_program_is_killed_goes_on(lab: Lab, undisturbed: Undisturbed) -> None:
    make_ready(undisturbed.another(lab), undisturbed.settings, _fault("kill-program", SAMPLE[0]))
    assert run(lab.place, "up", pack=None).status != 0
    finish(lab, "up")
    assert standing(lab.place) == undisturbed.standing


@pytest.mark.exhaustive
@pytest.mark.slow
def test_an_up_whose_program_is_killed_at_every_step_goes_on(lab: Lab, undisturbed: Undisturbed) -> None:
    """One update, whose program is killed at its first step, run again and killed at the next, and so on to the end."""
    make_ready(undisturbed.another(lab), undisturbed.settings, _fault("kill-program", 1))
    killed = 0
    # One operation at a time: with more, those under way beside it would end in the same run.
    while run(lab.place, "up", "--parallel", "1", pack=None).status != 0:
        killed += 1
        assert killed <= undisturbed.steps, "the update does not get any further"
        (lab.place.dir / "faults-spent.json").unlink()
    assert killed >= undisturbed.steps - KILLED_IN_VAIN
    assert standing(lab.place) == undisturbed.standing


@pytest.mark.parametrize("step", _every_step(SAMPLE))
def test_a_destroy_whose_engine_is_killed_goes_on(undisturbed: Undisturbed, step: int) -> None:
    if step > undisturbed.steps:
        pytest.skip(f"a destroy has {undisturbed.steps} steps")
    lab = undisturbed.again()
    make_ready(lab, undisturbed.settings, _fault("kill-engine", step))
    assert run_until_killed(lab, "destroy")
    finish(lab, "destroy")
    assert leftovers(lab.place) == []
    assert not leased(lab.place)
    assert lab.place.resources() == 0
