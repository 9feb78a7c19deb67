"""When each resource was made, from what is on record, and what of it a chart can show.

Two sources. The lab's journal has a line for each operation, with begin and end. A real stack has its state, which
says when each resource was done, and the backend's history, which says when each update began: a resource began when
the last one it needs was done, or with its update, whichever is later. Where neither is known, neither is told.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from cluster import phases, state

Result = Literal["ok", "failed"]


@dataclass(frozen=True)
class Span:
    """A resource in the making: seconds since 1970 of its begin and its end, and what came of it."""

    urn: str
    task: str
    begin: float
    end: float
    result: Result = "ok"

    @property
    def name(self) -> str:
        """Type and name of the resource, short: ``Release mlflow``."""
        return f"{state.type_of(self.urn).rsplit(':', 1)[-1]} {state.name_of(self.urn)}"


@dataclass(frozen=True)
class Run:
    """An update as the backend's history has it: when it began and ended (seconds since 1970), and how."""

    begin: float
    end: float
    result: str


def from_journal(text: str, export: Mapping[str, Any]) -> list[Span]:
    """Return the spans of the lab's journal: how each resource that is there was made, and what failed on the way.

    A last line that a kill cut short is left out, and so are resources of no task.
    """
    tasks = _Tasks(export)
    made: dict[str, Span] = {}
    failed: list[Span] = []
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        task = tasks.of(str(entry.get("urn")))
        if task is None or entry.get("op") not in ("create", "update"):
            continue
        span = Span(entry["urn"], task, float(entry["begin"]), float(entry["end"]))
        if entry.get("result") != "ok":
            failed.append(Span(span.urn, task, span.begin, span.end, "failed"))
        elif entry["op"] == "create" or span.urn not in made:
            made[span.urn] = span
    return [*made.values(), *failed]


class _Tasks:
    """Task of a resource, of one that is not in the state as well: that failed, or was replaced since."""

    def __init__(self, export: Mapping[str, Any]) -> None:
        self._known = state.tasks_of(export)
        self._kinds: dict[str, str] = {}
        for urn, task in self._known.items():
            self._kinds.setdefault(_kinds(urn), task)

    def of(self, urn: str) -> str | None:
        """Return the task of a resource, by itself or by the component that it is part of."""
        if urn in self._known:
            return self._known[urn]
        kinds = _kinds(urn)
        while "$" in kinds:
            kinds = kinds.rpartition("$")[0]
            if kinds in self._kinds:
                return self._kinds[kinds]
        return None


def _kinds(urn: str) -> str:
    """Return the types of a resource and of those that it is part of, as its URN has them; empty where it is no URN."""
    parts = urn.split("::", 3)
    return parts[2] if len(parts) == 4 else ""


def from_state(export: Mapping[str, Any], runs: Sequence[Run]) -> list[Span]:
    """Return the spans that state and history tell; a resource whose update is not on record is left out."""
    tasks = state.tasks_of(export)
    ended = {
        str(item["urn"]): datetime.fromisoformat(str(item["created"])).timestamp()
        for item in state.resources(export)
        if item.get("custom") and item.get("created")
    }
    found = []
    for urn, needed in state.needs_of(export).items():
        task, end = tasks.get(urn), ended.get(urn)
        run = next((each for each in runs if end is not None and each.begin <= end <= each.end + 1), None)
        if task is None or end is None or run is None:
            continue
        before = [ended[each] for each in needed if each in ended and ended[each] <= end]
        found.append(Span(urn, task, max([run.begin, *before]), end))
    return found


def runs_of(history: Iterable[Mapping[str, Any]]) -> list[Run]:
    """Return the updates of ``pulumi stack history --json``, oldest first; previews and refreshes make nothing."""
    found = []
    for entry in history:
        if entry.get("kind") != "update" or not entry.get("startTime") or not entry.get("endTime"):
            continue
        begin, end = (datetime.fromisoformat(str(entry[key])).timestamp() for key in ("startTime", "endTime"))
        found.append(Run(begin, end, str(entry.get("result", "unknown"))))
    return sorted(found, key=lambda run: run.begin)


@dataclass(frozen=True)
class Axis:
    """Busy time only: long hours in which nothing ran are cut out, each shown as a gap of ``WIDTH`` of the rest."""

    pieces: tuple[tuple[float, float], ...]

    WIDTH = 0.02
    """Width of a gap, as a part of the busy time."""
    LONG_S, LONG = 10.0, 0.25
    """Nothing ran for so many seconds, and for this part of the busy time: it is cut out."""

    @classmethod
    def of(cls, spans: Iterable[Span]) -> Axis:
        """Return the axis of some spans."""
        merged = _merged(spans)
        busy = sum(end - begin for begin, end in merged)
        joined: list[tuple[float, float]] = []
        for begin, end in merged:
            if joined and begin - joined[-1][1] < max(cls.LONG_S, cls.LONG * busy):
                joined[-1] = (joined[-1][0], end)
            else:
                joined.append((begin, end))
        return cls(tuple(joined))

    @property
    def busy(self) -> float:
        """Seconds on the axis, gaps left out."""
        return sum(end - begin for begin, end in self.pieces)

    @property
    def cuts(self) -> list[tuple[float, float]]:
        """(place from 0 to 1 of its middle, seconds that were cut out) of each gap."""
        gaps = zip(self.pieces, self.pieces[1:], strict=False)
        return [(self.place(one[1]) + self._gap / self._whole / 2, two[0] - one[1]) for one, two in gaps]

    def place(self, moment: float) -> float:
        """Return where a moment lies, from 0 to 1."""
        passed = 0.0
        for number, (begin, end) in enumerate(self.pieces):
            if moment <= end or number == len(self.pieces) - 1:
                return (passed + min(max(moment - begin, 0.0), end - begin)) / self._whole
            passed += end - begin + self._gap
        return 0.0

    @property
    def _gap(self) -> float:
        return self.busy * self.WIDTH

    @property
    def _whole(self) -> float:
        return (self.busy + self._gap * (len(self.pieces) - 1)) or 1.0


def rows(spans: Sequence[Span]) -> dict[str, Any]:
    """Return what the chart shows, as data: places from 0 to 1 on the axis, seconds beside them."""
    axis = Axis.of(spans)
    tasks = []
    for task in phases.TASKS.values():
        own = sorted((span for span in spans if span.task == task.id), key=lambda span: span.begin)
        if not own:
            continue
        begin, end = own[0].begin, max(span.end for span in own)
        tasks.append(
            {
                "task": task.id,
                "title": task.title,
                "phase": task.phase,
                "begin": axis.place(begin),
                "end": axis.place(end),
                "seconds": round(_busy(own), 3),
                "failed": sum(span.result == "failed" for span in own),
                "spans": [_bar(span, axis) for span in own],
            }
        )
    return {
        "tasks": tasks,
        "phases": _phases(spans, axis),
        "busy_s": round(axis.busy, 3),
        "began": axis.pieces[0][0] if axis.pieces else None,
        "cuts": [{"at": at, "seconds": round(seconds, 1)} for at, seconds in axis.cuts],
        "ticks": [{"at": at, "seconds": seconds} for at, seconds in _ticks(axis)],
    }


def _bar(span: Span, axis: Axis) -> dict[str, Any]:
    return {
        "name": span.name,
        "begin": axis.place(span.begin),
        "end": axis.place(span.end),
        "seconds": round(span.end - span.begin, 3),
        "result": span.result,
    }


def _phases(spans: Sequence[Span], axis: Axis) -> list[dict[str, Any]]:
    found = []
    for number, title in phases.PHASES.items():
        own = [span for span in spans if phases.TASKS[span.task].phase == number]
        if own:
            begin, end = min(span.begin for span in own), max(span.end for span in own)
            places = {"begin": axis.place(begin), "end": axis.place(end)}
            found.append({"phase": number, "title": title, **places, "seconds": round(_busy(own), 3)})
    return found


def _busy(spans: Iterable[Span]) -> float:
    """Return the seconds in which at least one of some spans ran."""
    return sum(end - begin for begin, end in _merged(spans))


def _merged(spans: Iterable[Span]) -> list[tuple[float, float]]:
    """Return the stretches of time that some spans cover, in their order."""
    merged: list[tuple[float, float]] = []
    for begin, end in sorted((span.begin, span.end) for span in spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def _ticks(axis: Axis) -> list[tuple[float, float]]:
    """Return (place, busy seconds so far) of round numbers of seconds, at most six."""
    steps = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400)
    step = next((each for each in steps if axis.busy / each <= 6), 36000)
    found, passed, tick = [], 0.0, 0.0
    for begin, end in axis.pieces:
        while tick <= passed + end - begin:
            found.append((axis.place(begin + tick - passed), tick))
            tick += step
        passed += end - begin
    return found
