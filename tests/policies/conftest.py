"""Fixtures of the policies' tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from policy_engine import Engine, empty_stack


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """The engine on an empty stack of the test's own."""
    return empty_stack(tmp_path)
