"""Rehearsals for tests: each in a home of its own, driven as a person would, by ``python -m lab``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.engine import quiet
from lab.workspace import ROOT, Workspace, toolchain_bin


@dataclass(frozen=True)
class Lab:
    """A rehearsal in a test's own folder."""

    place: Workspace

    def __call__(self, verb: str, *extra: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "lab", verb, "--stack", self.place.stack, "--home", str(self.place.home), *extra]
        return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=dict(os.environ))

    def up(self, *extra: str) -> subprocess.CompletedProcess[str]:
        done = self("up", *extra)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def export(self) -> dict[str, Any]:
        exported: dict[str, Any] = json.loads(quiet(self.place, "stack", "export", "--stack", self.place.stack))
        return exported


@pytest.fixture(scope="session", autouse=True)
def engine() -> None:
    """Fail with the remedy, not with a riddle, where no engine was provided."""
    if toolchain_bin() is None:
        pytest.fail("these tests need the Pulumi engine: make engine")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(Workspace("prod", tmp_path / "lab"))


@pytest.fixture(scope="module")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The production stack, up; shared by the tests of a module that only look at it."""
    made = Lab(Workspace("prod", tmp_path_factory.mktemp("prod") / "lab"))
    made.up()
    yield made
    done = made("down")
    assert done.returncode == 0, done.stdout + done.stderr
