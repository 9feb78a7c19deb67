"""A state that is gone without a copy: what stands is taken up again, a layer at a time, and no VM or disk is touched.

Six updates and as many looks: only in ``make test-kills``. The runbook ``docs/runbooks/losses/state-file.md`` names it.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab.lose import lose
from lab.plugins.world import journal
from lab.runbook.page import Page
from lab.runbook.stage import Stage, environment

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.exhaustive]

ROUNDS = 8


def test_a_stack_is_taken_up_without_any_copy_of_its_state(tmp_path: Path) -> None:
    place = Stage(tmp_path / "lab").set(Page(Path("page"), (), {"stack": "dev", "stands": "yes"}))

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, cwd=place.dir, env=environment(place), capture_output=True, text=True)

    lose(place, "state", "")
    before = len(journal(place.dir))
    assert run("cloudctl", "init", "dev").returncode == 0
    for _ in range(ROUNDS):
        done = run("pulumi", "up", "--stack", "dev", "--policy-pack", "policies")
        if done.returncode == 0:
            break
        looked = run("cloudctl", "recover", "--stack", "dev", "--strays", "--yes")
        assert looked.returncode == 0, looked.stdout + looked.stderr
    assert done.returncode == 0, done.stdout
    assert (
        run("pulumi", "preview", "--stack", "dev", "--policy-pack", "policies", "--expect-no-changes").returncode == 0
    )
    gone = [each for each in journal(place.dir)[before:] if each["op"] == "delete" and each["result"] == "ok"]
    assert {str(each["type"]) for each in gone} <= {"kubernetes:core/v1:Secret"}
    made = {
        str(each["type"]) for each in journal(place.dir)[before:] if each["op"] == "create" and each["result"] == "ok"
    }
    assert "libvirt:index/domain:Domain" not in made
