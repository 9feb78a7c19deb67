"""What holds for every test: how hypothesis draws."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# No test is timed, and a busy machine draws slowly. In CI the same examples are drawn each time, so that a change is
# judged by what it changed; anywhere else new ones are, and those find what is wrong.
settings.register_profile(
    "house", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("house")
