"""How far a play is, in a line now and then: a thousand tasks are too many to show."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from cluster.ansible import End, Failure, Task

EVERY = 20.0
"""Seconds between two lines."""


class Progress:
    """Says the first task, then one every now and then, and what failed at once."""

    def __init__(
        self,
        step: str,
        say: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._step = step
        self._say = say or _to_stderr
        self._clock = clock
        self._began = clock()
        self._told = self._began - EVERY
        self._tasks = 0

    def __call__(self, event: Task | Failure | End) -> None:
        """Take an event of the play."""
        if isinstance(event, Failure):
            if not event.ignored and not event.rescued:
                self._say(f"{self._step}: {event.host}: {event.task} failed")
        elif isinstance(event, Task):
            self._tasks += 1
            if self._clock() - self._told >= EVERY:
                self._told = self._clock()
                minutes = (self._told - self._began) / 60
                self._say(f"{self._step}: task {self._tasks}, {event.name} ({minutes:.0f} min)")


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
