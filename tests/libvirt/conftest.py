"""Everything here needs the private hypervisor: ``make test-libvirt``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.hypervisor.needs import MARK, missing
from tests.libvirt import stage

HERE = Path(__file__).parent
IMAGE = "CLOUD_TEST_IMAGE"
"""Names a qcow2 that boots; ``make test-libvirt`` makes one outside, where the package mirror can be reached."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Outside of the private hypervisor nothing here is run: it would be the machine's own libvirt."""
    reason = missing() or "make test-libvirt runs it, in a private hypervisor"
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.daemon)
            if not os.environ.get(MARK):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="module", autouse=True)
def swept() -> Iterator[None]:
    """Each file of tests begins with an empty hypervisor, whatever the one before it has left."""
    yield
    if os.environ.get(MARK):
        stage.sweep()


@pytest.fixture(scope="session")
def image() -> Path:
    """Our base image, built by Packer from a Debian made of packages."""
    path = Path(os.environ.get(IMAGE, ""))
    if not path.is_file():
        pytest.skip(f"no image to boot: {IMAGE} names none; make test-libvirt builds one")
    return path
