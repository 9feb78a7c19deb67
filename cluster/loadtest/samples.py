"""The log of a load: what each request took, and the figures of all of them."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PERCENTILES = (50, 95, 99)
BUSY_PERCENT = 90.0
"""Share of a processor from which on locust itself, which has one, may be what is slow: its own warning's limit."""
LATE_S = 0.1
"""Requests that are this late as a rule were not sent at the rate that was asked for."""


@dataclass(frozen=True)
class Sample:
    """A request: its moment in seconds from the measurement's begin, how late it was sent, how long its answer took in
    milliseconds, the HTTP status (0: none), and what was wrong with it, if anything."""

    at: float
    late: float
    ms: float
    status: int
    error: str


@dataclass(frozen=True)
class Run:
    """The measured requests of a load, the number of those before them, its length in seconds, the share of one
    processor that the load tool used, and when the measurement began (seconds since 1970)."""

    samples: tuple[Sample, ...]
    warm_ups: int
    seconds: float
    processor_percent: float
    measured_from: float = 0.0

    @property
    def good(self) -> tuple[Sample, ...]:
        """Requests with a right answer: a refusal is fast, and would make a failing model look quick."""
        return tuple(each for each in self.samples if not each.error)

    @property
    def rate(self) -> float:
        """Right answers a second."""
        ends = max((each.at + each.late + each.ms / 1000 for each in self.good), default=0.0)
        return len(self.good) / max(self.seconds, ends)

    @property
    def failed_percent(self) -> float:
        """Share of the requests that got no right answer; all of them where there was none."""
        return 100 * (1 - len(self.good) / len(self.samples)) if self.samples else 100.0

    @property
    def late(self) -> float:
        """P95 of the seconds that requests were sent after their moment."""
        return percentile([each.late for each in self.samples], 95) if self.samples else 0.0

    def latency(self, percent: float) -> float | None:
        """Return a percentile of the right answers' milliseconds, or None where there is no right answer."""
        return percentile([each.ms for each in self.good], percent) if self.good else None

    def errors(self) -> dict[str, int]:
        """Return how often which error came, the most frequent first."""
        return dict(Counter(each.error for each in self.samples if each.error).most_common())

    def tool_limit(self) -> str | None:
        """Return why the load tool may be what was measured, or None where it was not."""
        if self.processor_percent >= BUSY_PERCENT:
            return f"locust itself used {self.processor_percent:.0f} % of its one processor"
        if self.late >= LATE_S:
            return f"every twentieth request was sent {self.late:.1f} s late or later: all users waited for an answer"
        return None


def parse(log: str, seconds: float, summary: Mapping[str, Any]) -> Run:
    """Return the run that a log of ``locustfile.py`` tells of; what began before moment 0 was to warm up."""
    every = [Sample(*json.loads(line)) for line in log.splitlines()]
    measured = sorted((each for each in every if each.at >= 0), key=lambda each: each.at)
    figures = float(summary["processor_percent"]), float(summary["measured_from"])
    return Run(tuple(measured), len(every) - len(measured), seconds, *figures)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least ``percent`` of the values do not exceed (nearest rank): one that was
    really measured. Raises ValueError for no values, or a share that is none."""
    if not values or not 0 <= percent <= 100:
        raise ValueError(f"no percentile {percent} of {len(values)} values")
    rank = math.ceil(percent / 100 * len(values))
    return sorted(values)[max(rank, 1) - 1]


def over_time(run: Run, slices: int = 30) -> list[dict[str, float | None]]:
    """Return the percentiles of each slice of time, at its begin in seconds; None where nothing was answered in it."""
    width = run.seconds / slices
    parts: list[list[float]] = [[] for _ in range(slices)]
    for each in run.good:
        parts[min(int(each.at / width), slices - 1)].append(each.ms)
    return [_slice(round(number * width, 3), part) for number, part in enumerate(parts)]


def _slice(at: float, part: Sequence[float]) -> dict[str, float | None]:
    found: dict[str, float | None] = {"at": at}
    return found | {f"p{each}": percentile(part, each) if part else None for each in PERCENTILES}
