"""Is a backup late? By the schedule: after the next time that it names, and some time to run in. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cluster.timers.calendar import following

GRACE = timedelta(hours=2)
"""How long a run may take, and a timer of a machine that was off may come late."""


@dataclass(frozen=True)
class Age:
    """``due``: when the next backup after the last one has to be there, None where there is none at all yet."""

    last: datetime | None
    due: datetime | None
    late: bool


def age(last: datetime | None, schedule: str, now: datetime) -> Age:
    """Return how a part's last backup stands; ``now`` in local time, in which cron lines are read."""
    if last is None:
        return Age(None, None, late=True)
    due = following(schedule, last.astimezone(now.tzinfo)) + GRACE
    return Age(last, due, late=now > due)
