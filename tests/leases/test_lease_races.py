"""Of many processes that claim the same cards at once, some of them killed, no two ever get one.

That a claim may go wrong in these ways, and that it would be seen, shows the run without the lock.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from cluster.leases import LeaseFile
from tests.leases import claimants

ROOT = Path(__file__).parents[2]


def run(folder: Path, *options: str) -> tuple[dict[str, int], str]:
    """Run the claimants; return what they counted, and their errors."""
    program = folder.with_name(claimants.PLUGIN)
    program.symlink_to(sys.executable)  # outside of its virtual environment it is told where the packages are
    words = [str(program), "-m", "tests.leases.claimants", str(folder), *options]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    counts: dict[str, int] = json.loads(done.stdout)
    assert done.returncode == (1 if counts["violations"] else 0), done.stderr
    return counts, done.stderr


def proves(folder: Path, claimants: int, trials: int, kills: int) -> None:
    """Run the claimants, and look whether they met, died and took over from the dead."""
    counts, errors = run(folder, f"--claimants={claimants}", f"--trials={trials}", f"--kills={kills}")
    assert counts["violations"] == 0, errors
    assert counts["trials"] >= claimants * trials * 0.8  # the rest of a journal are letters of other kinds
    assert counts["kills"] == kills
    assert counts["early"] > kills
    assert counts["wins"] > trials / 10
    assert counts["losses"] > trials / 10
    assert counts["taken_void"] > 0
    assert counts["orphans"] > 0
    held = Counter(lease.card for lease in LeaseFile(folder / "state.json").all())
    assert not held or max(held.values()) == 1


def test_no_card_ever_has_two_holders(tmp_path: Path) -> None:
    proves(tmp_path / "run", claimants=4, trials=600, kills=24)


@pytest.mark.slow
def test_no_card_ever_has_two_holders_in_a_long_run(tmp_path: Path) -> None:
    proves(tmp_path / "run", claimants=8, trials=3500, kills=280)


def test_without_the_lock_it_goes_wrong_and_is_seen(tmp_path: Path) -> None:
    counts, _ = run(tmp_path / "run", "--claimants=4", "--trials=60", "--kills=1", "--without-lock")
    assert counts["violations"] > 0
