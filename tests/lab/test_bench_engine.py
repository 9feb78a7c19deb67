"""The bench on the real engine: the bare program is what it says it is, and every figure comes out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from lab.bench.recording import Registration, read_plan
from lab.bench.subjects import prepared
from lab.bench.timing import preview
from lab.engine import POLICIES, quiet
from lab.workspace import ROOT

pytestmark = pytest.mark.engine


def by_names(recording: list[Registration]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what was registered by (type, name), with other resources named and not counted."""

    def named(numbers: list[int]) -> list[tuple[str, str]]:
        return sorted((recording[number].type, recording[number].name) for number in numbers)

    found = {}
    for each in recording:
        said = asdict(each)
        for key in ("parent", "provider"):
            said[key] = [] if said[key] is None else named([said[key]])
        said["depends_on"] = named(each.depends_on)
        said["waits"] = {key: named(numbers) for key, numbers in each.waits.items()}
        said["secret_outputs"] = sorted(each.secret_outputs)
        found[each.type, each.name] = said
    return found


def test_the_bare_program_registers_the_same(tmp_path: Path) -> None:
    pair = prepared(tmp_path / "bench", None, print)
    plan = tmp_path / "plan.json"
    words = ("preview", "--stack", "prod", "--save-plan", str(plan), "--show-secrets")
    quiet(pair.place, *words, folder=pair.bare, PULUMI_EXPERIMENTAL="true")
    bare = read_plan(plan)
    ours = list(pair.recording)
    assert Counter(each.type for each in bare) == Counter(each.type for each in ours)
    assert by_names(bare) == by_names(ours)
    # The pack accepts it as it accepts ours: what policies read is there.
    assert preview(pair.theirs(POLICIES)) > 0


@pytest.mark.slow
def test_quick_yields_every_figure(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    words = [sys.executable, "-m", "lab.bench", "--quick", "--json", "--home", str(tmp_path / "bench")]
    done = subprocess.run([*words, "--page", str(page)], cwd=ROOT, capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stdout + done.stderr
    ratios = {each["name"]: each["median"] for each in json.loads(done.stdout)["ratios"]}
    assert list(ratios) == ["prod", "3 VMs", "6 VMs", "growth", "pack", "makespan", "play", "log memory"]
    assert all(value > 0 for value in ratios.values())
    assert ratios["makespan"] >= 1  # nothing is faster than its longest chain
    assert page.read_text().count("\n| ") == 1 + len(ratios)
