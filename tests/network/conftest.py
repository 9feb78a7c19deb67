"""Three nodes for the tests of a folder's file, anew for each file."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.network import site as sites
from tests.network.site import Site

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here that asks for nodes needs root and namespaces."""
    reason = sites.missing()
    for item in items:
        if item.path.is_relative_to(HERE) and "site" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.daemon)
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A control plane and two workers."""
    folder = Path(tempfile.mkdtemp(prefix="nodes-"))
    names = {"control-1": "10.77.0.11", "worker-1": "10.77.0.21", "worker-2": "10.77.0.22"}
    made = None
    try:
        made = Site(folder, names)
        yield made
    finally:
        if made:
            made.close()
        shutil.rmtree(folder, ignore_errors=True)
