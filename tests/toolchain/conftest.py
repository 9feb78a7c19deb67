"""Fixtures of the toolchain's tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.toolchain.machines import Machine


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A bare machine."""
    return Machine(tmp_path, monkeypatch)


@pytest.fixture
def python() -> str:
    """The interpreter that the tests run under."""
    return sys.executable
