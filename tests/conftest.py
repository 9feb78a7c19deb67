"""What holds for every test: how hypothesis draws."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# No test is timed, and a busy machine draws slowly. In CI the same examples are drawn each time, so that a change is
# judged by what it changed; anywhere else new ones are, and those find what is wrong.
settings.register_profile(
    "house", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("house")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """No name of a test may hang on the order of a set: workers that name tests differently run none at all."""
    for item in items:
        of_this = getattr(item, "callspec", None)
        for value in of_this.params.values() if of_this else ():
            if isinstance(value, set | frozenset) and len(value) > 1 and str(value) in item.name:
                raise pytest.UsageError(f"{item.nodeid}: named after a set, which has no order; give the case an id")
