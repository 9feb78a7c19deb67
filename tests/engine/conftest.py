"""Rehearsals for tests: each in a home of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.workspace import Workspace, toolchain_bin
from tests.engine.rehearsal import Lab


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
