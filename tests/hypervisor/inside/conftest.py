"""What runs in a private hypervisor with played cards; ``test_cards.py`` beside this folder starts it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.hypervisor import cards
from tests.hypervisor.inside.vms import names, virsh


@pytest.fixture(autouse=True)
def no_vm_stays() -> Iterator[None]:
    """Take away the VMs that a test has made, and let the kernel find every card again."""
    yield
    for name in names():
        virsh("destroy", name, check=False)
        virsh("undefine", name)
    cards.rescan()
