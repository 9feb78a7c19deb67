"""The shape of an alert and of a recorded series, as Prometheus' rule files have them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cluster.backup.late import GRACE
from cluster.timers.calendar import longest

Severity = Literal["critical", "warning", "info", "none"]
"""critical: somebody has to act now. warning: today. info: worth knowing. none: not for people."""

RUNBOOKS = "docs/runbooks/alerts"
"""Folder of the runbooks, a page for each alert: NAME.md."""

HOUR = 3600
DAY = 24 * HOUR


@dataclass(frozen=True)
class Alert:
    """``expression`` has to be true for so many ``minutes``. ``summary``: what is wrong, with what, and how much."""

    name: str
    expression: str
    minutes: int
    severity: Severity
    summary: str

    def rendered(self, runbooks: str | None) -> dict[str, Any]:
        """Return the rule; ``runbooks`` is the setting: a URL with ``{alert}`` in it, or None."""
        path = f"{RUNBOOKS}/{self.name}.md"
        link = {"runbook_url": runbooks.replace("{alert}", self.name)} if runbooks else {}
        return {
            "alert": self.name,
            "expr": one_line(self.expression),
            "for": f"{self.minutes}m",
            "labels": {"severity": self.severity},
            "annotations": {"summary": self.summary, "runbook": path, **link},
        }


@dataclass(frozen=True)
class Recorded:
    """A series that others build on: what the settings promise, or one measure that several exporters give."""

    name: str
    expression: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def rendered(self, _: str | None) -> dict[str, Any]:
        """Return the rule."""
        labels = {"labels": dict(self.labels)} if self.labels else {}
        return {"record": self.name, "expr": one_line(self.expression), **labels}


Rule = Alert | Recorded


def one_line(expression: str) -> str:
    """Return an expression with its line breaks taken out."""
    return " ".join(expression.split())


def late_after_s(schedule: str) -> int:
    """Return the seconds after which what runs by a cron line is late: its longest pause, and some grace."""
    return int((longest(schedule) + GRACE).total_seconds())


def running_out(name: str, remaining: str, summary: str, *, minutes: int = 60) -> Iterable[Alert]:
    """Yield an alert in three steps for ``remaining`` seconds that run out: 30, 14 and 3 days, one step at a time.

    ``summary`` is given the days that are left as ``$value``.
    """
    days = f"({remaining}) / {DAY}"
    yield Alert(name, f"{days} < 30 >= 14", minutes, "info", summary)
    yield Alert(name, f"{days} < 14 >= 3", minutes, "warning", summary)
    yield Alert(name, f"{days} < 3", minutes, "critical", summary)
