"""Makespan over critical path: how much longer an update takes than its longest chain of operations.

The stand-ins play back how long real operations take, scaled, and note when each began and ended. The critical path is
the longest chain over the dependencies in the engine's state, with those very durations: no order of steps can beat it.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Final

from cluster.state import name_of, needs_of, type_of
from lab.bench.subjects import fresh
from lab.bench.timing import Ratio
from lab.durations import minutes
from lab.engine import quiet, run
from lab.plugins.world import journal
from lab.setup import initialise
from lab.workspace import DEFAULT_TWIN, Workspace, prepare

GOAL: Final = 1.05


@dataclass(frozen=True)
class Schedule:
    """An update that was played back: seconds from first begin to last end, and its longest chain, first to last.

    ``minutes`` are what the chain's operations are said to take in reality.
    """

    makespan: float
    path: tuple[str, ...]
    length: float
    minutes: float
    operations: int

    @property
    def between(self) -> float:
        """Seconds of the makespan in which nothing of the longest chain was under way: the engine's own."""
        return self.makespan - self.length


def schedule_of(export: Mapping[str, Any], entries: list[dict[str, Any]]) -> Schedule:
    """Return the schedule of an ``up`` from the exported state and the stand-ins' journal of it.

    What has no entry (components, providers) takes no time, and passes on what it waits for.
    """
    made = [entry for entry in entries if entry["op"] == "create" and entry["result"] == "ok"]
    took = {str(entry["urn"]): float(entry["end"]) - float(entry["begin"]) for entry in made}
    needs = needs_of(export)
    ends: dict[str, float] = {}
    before: dict[str, str | None] = {}
    for urn in TopologicalSorter(needs).static_order():
        last = max(needs.get(urn, ()), key=lambda each: ends[each], default=None)
        ends[urn] = took.get(urn, 0.0) + (ends[last] if last else 0.0)
        before[urn] = last
    chain: list[str] = []
    each: str | None = max(ends, key=lambda urn: ends[urn])
    length = ends[each] if each else 0.0
    while each:
        if each in took:
            chain.append(each)
        each = before[each]
    makespan = max(float(entry["end"]) for entry in made) - min(float(entry["begin"]) for entry in made)
    real = sum(minutes(type_of(urn), name_of(urn), "create") for urn in chain)
    return Schedule(makespan, tuple(name_of(urn) for urn in reversed(chain)), length, real, len(made))


def played(home: Path, pace: float, say: Callable[[str], None]) -> Schedule:
    """Bring the production stack up in the lab at a pace (seconds for a real minute), take it down, and return how it
    went. Raises RuntimeError where the engine failed.
    """
    place = fresh(Workspace("prod", home))
    prepare(place, DEFAULT_TWIN, None, pace)
    initialise(place)
    say(f"makespan: up of prod at {pace:g} s for a real minute")
    done = run(place, "up")
    if done.status != 0:
        raise RuntimeError(f"up failed; see {done.log}")
    exported = json.loads(quiet(place, "stack", "export", "--stack", place.stack))
    found = schedule_of(exported, [dict(entry) for entry in journal(place.dir)])
    say(f"makespan: {found.makespan:.1f} s over a path of {found.length:.1f} s; taking it down")
    prepare(place, DEFAULT_TWIN, None, 0.0)
    down = run(place, "destroy")
    if down.status != 0:
        raise RuntimeError(f"destroy failed; see {down.log}")
    return found


def ratio_of(schedules: Sequence[Schedule]) -> Ratio:
    """Return makespan over critical path, round by round, with what the median round says of a real update."""
    rounds = [each.makespan / each.length for each in schedules]
    middle = schedules[rounds.index(statistics.median_low(rounds))]
    steps, real = len(middle.path), middle.minutes
    notes = (
        f"longest chain: {steps} of {middle.operations} operations, {middle.length:.1f} s as played, "
        f"{real:.0f} min as they would take",
        f"while none of the chain was under way: {middle.between:.2f} s, {1000 * middle.between / steps:.0f} ms a step;"
        " that is the engine's and the SDK's own and does not grow with the durations: "
        f"{100 * middle.between / (60 * real):.2f} % of the {real:.0f} real minutes",
        "the chain: " + ", ".join(middle.path),
    )
    seconds = {
        "makespan": statistics.median(each.makespan for each in schedules),
        "critical path": statistics.median(each.length for each in schedules),
    }
    title = "makespan of an up of prod over its critical path"
    return Ratio("makespan", title, GOAL, tuple(rounds), seconds, notes)
