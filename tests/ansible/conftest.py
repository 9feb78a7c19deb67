"""A world of nodes for tests of the playbooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.ansible.world import World, served, why_not

Worlds = Callable[..., World]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Worlds]:
    """Make a world; keywords as for ``world_settings``. Skips where this machine gives no namespaces."""
    if reason := why_not():
        pytest.skip(reason)
    with ExitStack() as stack:
        yield lambda **sections: stack.enter_context(served(tmp_path / "world", **sections))
