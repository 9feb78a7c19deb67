"""The production stack on the real engine: order, idempotence, secrets, and nothing left at the end."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cluster import phases
from cluster.settings.model import NAMESPACE
from cluster.state import task_edges, tasks_of
from lab.__main__ import leftovers
from lab.workspace import ROOT
from tests.browser.window import NARROW, WIDE, browser, needs_browser, size_of
from tests.engine.rehearsal import Lab

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("prod")]


def test_every_task_of_the_table_has_resources(prod: Lab) -> None:
    assert set(tasks_of(prod.export()).values()) >= set(phases.TASKS)


def test_recorded_dependencies_hold_every_edge_of_the_table(prod: Lab) -> None:
    recorded = phases.closure(task_edges(prod.export()))
    assert phases.edges() - recorded == frozenset()


def test_recorded_dependencies_serialise_nothing_that_may_run_in_parallel(prod: Lab) -> None:
    recorded = phases.closure(task_edges(prod.export()))
    assert {pair for pair in recorded if frozenset(pair) in phases.parallel_pairs()} == set()


def test_a_second_run_reports_no_changes(prod: Lab) -> None:
    done = prod.up()
    assert "no changes" in done.stdout


def test_no_secret_stands_in_plain_text_in_state_logs_or_world(prod: Lab) -> None:
    config = yaml.safe_load(prod.place.config_file.read_text())["config"]
    names = config[f"{NAMESPACE}:secrets"]
    assert names
    plain = _decrypted(prod)
    assert set(plain) == set(names)
    looked_at = 0
    for path in prod.place.home.rglob("*"):
        if path.is_file() and "world" not in path.parts and path.stat().st_size < 50_000_000:
            content = path.read_bytes()
            looked_at += 1
            for name, secret in plain.items():
                assert secret.encode() not in content, f"{name} stands in {path}"
    assert looked_at > 10


def test_the_backend_writes_nothing_that_a_kill_could_tear(prod: Lab) -> None:
    state = prod.place.home / "state"
    assert prod.place.state_file.exists()
    assert list(state.rglob("*.attrs")) == []


def test_outputs_tell_where_things_can_be_reached(prod: Lab) -> None:
    done = prod("status")
    assert done.returncode == 0, done.stdout
    for task in phases.TASKS:
        assert task in done.stdout


def test_the_report_shows_when_each_task_was_made_and_no_secret(prod: Lab, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    words = [sys.executable, "-m", "cloudctl", "report", "--stack", "prod", "--out", str(page)]
    done = subprocess.run(words, cwd=ROOT, env=prod.place.environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    text = page.read_text()
    assert "rehearsal, nothing here is real" in text
    for task in phases.TASKS:
        assert re.search(rf'aria-label="{task} [^"]*: [0-9.]+ (s|min)', text), task
    for name, secret in _decrypted(prod).items():
        assert secret not in text, name


@needs_browser
def test_the_report_of_a_rehearsal_is_drawn_whole(prod: Lab, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "cloudctl", "report", "--stack", "prod", "--out", str(tmp_path / "report.html")]
    subprocess.run(words, cwd=ROOT, env=prod.place.environment(), check=True, capture_output=True)
    with browser(tmp_path / "profile") as window:
        for width in (WIDE, NARROW):
            window.show((tmp_path / "report.html").as_uri(), width)
            assert window.problems() == []
            assert size_of(window.picture(tmp_path / f"report-{width}.png"))[0] == width


def test_another_twin_under_a_standing_stack_is_refused(prod: Lab) -> None:
    done = prod("up", "--host-file", "lab/hosts/gpus-held.yaml")
    assert done.returncode == 2
    assert re.search(r"is not the twin that stack prod stands on .*; first: make lab-down STACK=prod", done.stdout)


def test_down_leaves_nothing(prod: Lab) -> None:
    """The last of this file: the others have looked at the stack by now."""
    assert leftovers(prod.place)
    done = prod("down")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not prod.place.dir.exists()
    stacks = Path(prod.place.home / "state" / ".pulumi" / "stacks")
    assert [path for path in stacks.rglob("*.json") if path.name == "prod.json"] == []


def _decrypted(lab: Lab) -> dict[str, str]:
    import json

    from lab.engine import quiet

    words = ("config", "--show-secrets", "--json", "--stack", "prod", "--config-file", str(lab.place.config_file))
    shown = json.loads(quiet(lab.place, *words))
    secrets = json.loads(shown[f"{NAMESPACE}:secrets"]["value"])
    return {str(name): str(value) for name, value in secrets.items()}
