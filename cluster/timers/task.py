"""What a task of ours tells of its timer, so that all of them are put in and taken out in one way."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster.timers.timer import Timer, units

Told = Mapping[str, str]
"""Variables that the component sets for the command: STACK, SCHEDULE, and the task's own."""


@dataclass(frozen=True)
class Task:
    """``timer`` makes it of what is told, the project's folder and its Python; to take it out STACK is enough.

    ``variables``: what the service finds in its environment; it may write the files that ``files`` names, which go with
    the timer. ``about`` says in a line what is on.
    """

    timer: Callable[[Told, Path, Path], Timer]
    variables: Callable[[Told, Timer], dict[str, str]]
    about: Callable[[Told], str]
    files: Callable[[Timer], tuple[Path, ...]] = lambda _: ()


def digest(task: Task, told: Told) -> str:
    """Return a word that changes when the units' text does, wherever the project lies: they are written anew then."""
    here = Path("/")
    return hashlib.sha256("\0".join(units(task.timer(told, here, here)).values()).encode()).hexdigest()[:16]
