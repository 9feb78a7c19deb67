"""What is measured: how large, how often, and which ratios come out of which runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.bench import boot, makespan, plays, serving, transfer
from lab.bench.subjects import EMPTY_PACK, Pair, prepared
from lab.bench.timing import Ratio, in_turns, ratio_of
from lab.engine import POLICIES

PROD_GOAL: Final = 1.15
LARGE_GOAL: Final = 1.3
PACK_GOAL: Final = 1.15
GROWTH_GOAL: Final = 1.0
NAMES: Final = ("prod", "scale", "pack", "makespan", "play", "boot", "serving", "transfer")


@dataclass(frozen=True)
class Effort:
    """How much is measured: rounds of the small and of the large stacks, their sizes in VMs, the pace of an up,
    rounds of boots (0: one if they are asked for by name, else none), tasks of a play and megabytes of its log,
    rounds of loads on a model server (0: as with boots) and the seconds of each, rounds of transfers (0: as
    with boots), their megabytes and files.
    """

    rounds: int
    large_rounds: int
    sizes: tuple[int, ...]
    pace: float
    warm: bool
    boots: int
    tasks: int
    log_mb: int
    loads: int
    load_s: float
    transfers: int
    transfer_mb: int
    transfer_files: int


FULL: Final = Effort(
    rounds=7,
    large_rounds=3,
    sizes=(100, 1000),
    pace=1.5,
    warm=True,
    boots=5,
    tasks=plays.TASKS,
    log_mb=plays.LOG_MB,
    loads=7,
    load_s=20,
    transfers=3,
    transfer_mb=transfer.LARGE_MB,
    transfer_files=transfer.SMALL_FILES,
)
QUICK: Final = Effort(
    rounds=1,
    large_rounds=1,
    sizes=(3, 6),
    pace=0.1,
    warm=False,
    boots=0,
    tasks=5,
    log_mb=2,
    loads=0,
    load_s=2,
    transfers=0,
    transfer_mb=80,
    transfer_files=50,
)
"""Enough to see that everything works; its ratios say little."""


def measure(home: Path, effort: Effort, names: Iterable[str], say: Callable[[str], None]) -> list[Ratio]:
    """Measure the named ratios and return them in the order of ``NAMES``."""
    wanted = set(names)
    found: list[Ratio] = []
    if "prod" in wanted:
        found.append(_prod(prepared(home, None, say), effort, say))
    if wanted & {"scale", "pack"}:
        found += _large(home, effort, wanted, say)
    if "makespan" in wanted:
        found.append(makespan.ratio_of([makespan.played(home, effort.pace, say) for _ in range(effort.large_rounds)]))
    if "play" in wanted:
        found.append(plays.overhead(effort.large_rounds, effort.tasks, say))
        found.append(plays.memory(effort.log_mb, say))
    if "boot" in wanted and (effort.boots or wanted == {"boot"}):
        if reason := boot.lacking():
            say(f"boot: not measured: {reason}")
        else:
            found.append(boot.measured(max(1, effort.boots), say))
    if "serving" in wanted and (effort.loads or wanted == {"serving"}):
        if reason := serving.lacking():
            say(f"serving: not measured: {reason}")
        else:
            found += serving.measured(max(1, effort.loads), effort.load_s, say)
    if "transfer" in wanted and (effort.transfers or wanted == {"transfer"}):
        found += _transfers(effort, say)
    return found


def _transfers(effort: Effort, say: Callable[[str], None]) -> list[Ratio]:
    if reason := transfer.lacking():
        say(f"transfer: not measured: {reason}")
        return []
    return transfer.measured(max(1, effort.transfers), effort.transfer_mb, effort.transfer_files, say)


def _prod(pair: Pair, effort: Effort, say: Callable[[str], None]) -> Ratio:
    ours, bare = pair.ours(), pair.theirs()
    times = in_turns([ours, bare], effort.rounds, effort.warm, say)
    title = f"preview of prod over a bare program, {ours.resources} resources"
    return ratio_of("prod", title, PROD_GOAL, times, ours.name, bare.name)


def _large(home: Path, effort: Effort, wanted: set[str], say: Callable[[str], None]) -> list[Ratio]:
    """Measure the large stacks: per size one set of runs, from which both ratios are taken."""
    found: list[Ratio] = []
    each_ms: list[float] = []
    for vms in effort.sizes:
        largest = vms == effort.sizes[-1]
        if "scale" not in wanted and not largest:
            continue
        pair = prepared(home, vms, say)
        ours, bare, empty = pair.ours(POLICIES), pair.theirs(POLICIES), pair.ours(EMPTY_PACK)
        subjects = [ours, *([bare] if "scale" in wanted else []), *([empty] if largest and "pack" in wanted else [])]
        times = in_turns(subjects, effort.large_rounds, effort.warm and not largest, say)
        if "scale" in wanted:
            title = f"preview of {vms} VMs over a bare program, pack on, {ours.resources} resources"
            one = ratio_of(f"{vms} VMs", title, LARGE_GOAL, times, ours.name, bare.name)
            each_ms.append(1000 * one.seconds[ours.name] / ours.resources)
            found.append(one)
        if empty in subjects:
            title = f"preview of {vms} VMs with our pack over one with a pack of one empty policy"
            found.append(ratio_of("pack", title, PACK_GOAL, times, ours.name, empty.name))
    if "scale" in wanted:
        found.insert(len(each_ms), _growth(effort.sizes, each_ms))
    return found


def _growth(sizes: tuple[int, ...], each_ms: list[float]) -> Ratio:
    title = f"time per resource at {sizes[-1]} VMs over that at {sizes[0]}"
    note = ", ".join(f"{ms:.1f} ms at {vms} VMs" for vms, ms in zip(sizes, each_ms, strict=True))
    return Ratio("growth", title, GROWTH_GOAL, (each_ms[-1] / each_ms[0],), {}, (f"a resource takes {note}",))
