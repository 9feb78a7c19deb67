"""Previews against the clock: the subjects of a comparison take turns, so that a busy moment hits all of them."""

from __future__ import annotations

import re
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_CREATES = re.compile(r"^\s+\+ (\d+) to create$", re.MULTILINE)


@dataclass(frozen=True)
class Subject:
    """A preview that is timed: the engine's command line, where it runs, and how many resources it must plan."""

    name: str
    words: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]
    resources: int


@dataclass(frozen=True)
class Ratio:
    """One figure: what it says, its goal (at most), the ratio of each round, and the times behind it in seconds."""

    name: str
    title: str
    goal: float
    rounds: tuple[float, ...]
    seconds: Mapping[str, float]
    notes: tuple[str, ...] = ()

    @property
    def median(self) -> float:
        """The figure itself."""
        return statistics.median(self.rounds)

    @property
    def met(self) -> bool:
        """Whether the figure, to two places as it is told, keeps its goal."""
        return round(self.median, 2) <= self.goal

    def told(self) -> str:
        """Return the figure in words: median, and the range of the rounds where there were several."""
        text = f"{self.median:.2f}"
        return f"{text} ({min(self.rounds):.2f}-{max(self.rounds):.2f})" if len(self.rounds) > 1 else text


def preview(subject: Subject) -> float:
    """Run a preview of an empty stack and return its wall time in seconds.

    Raises RuntimeError with the end of its output where it failed or planned another number of resources: a time of
    something else is worse than none.
    """
    begun = time.monotonic()
    done = subprocess.run(
        subject.words, cwd=subject.folder, env=dict(subject.environment), capture_output=True, text=True
    )
    took = time.monotonic() - begun
    planned = _CREATES.search(done.stdout)
    if done.returncode != 0 or planned is None or int(planned[1]) != subject.resources:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-30:])
        raise RuntimeError(f"{subject.name}: not a preview of {subject.resources} resources\n{tail}")
    return took


def in_turns(
    subjects: Sequence[Subject], rounds: int, warm: bool, say: Callable[[str], None]
) -> dict[str, tuple[float, ...]]:
    """Return the times of every subject by name, one for each round; every second round goes backwards.

    ``warm`` runs each once before, untimed, for what the disk and Python keep.
    """
    for subject in subjects if warm else ():
        say(f"{subject.name}: {preview(subject):.1f} s, to warm up")
    times: dict[str, list[float]] = {subject.name: [] for subject in subjects}
    for number in range(rounds):
        for subject in subjects if number % 2 == 0 else subjects[::-1]:
            took = preview(subject)
            times[subject.name].append(took)
            say(f"{subject.name}: {took:.1f} s, round {number + 1} of {rounds}")
    return {name: tuple(every) for name, every in times.items()}


def ratio_of(name: str, title: str, goal: float, times: Mapping[str, Sequence[float]], over: str, under: str) -> Ratio:
    """Return the ratio of two subjects' times, round by round."""
    rounds = tuple(first / second for first, second in zip(times[over], times[under], strict=True))
    return Ratio(name, title, goal, rounds, {each: statistics.median(times[each]) for each in (over, under)})
