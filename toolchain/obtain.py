"""The one way to get something: ask each origin what it has, then let each one try to make it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.problems import Problem
from toolchain import cache
from toolchain.problems import NotHadError, ToolMissingError
from toolchain.tool import Tool


@dataclass(frozen=True)
class Origin:
    """Where something may come from. Both functions may raise NotHadError with the reason.

    ``look`` returns what is there already, fast, or None; ``make`` fetches or builds it, with the cache's lock held.
    """

    name: str
    look: Callable[[], Tool | None]
    make: Callable[[], Tool] | None = None


@dataclass(frozen=True)
class Sought:
    """What is to be had: its name and version in messages, its origins in order, and what to do where all fail.

    ``switch`` is the environment variable that names the only origin that may be used.
    """

    name: str
    version: str
    switch: str
    origins: tuple[Origin, ...]
    remedy: str


def obtain(sought: Sought) -> Tool:
    """Return it from the first origin that has it; where none has it, from the first one that can make it.

    Raises ToolMissingError with every origin's reason.
    """
    allowed = _allowed(sought)
    reasons: list[str] = []
    if tool := _look(allowed, reasons):
        return tool
    if makers := [origin.make for origin in allowed if origin.make]:
        with cache.lock():
            if tool := _look(allowed, []):  # made by whoever held the lock before
                return tool
            for make in makers:
                try:
                    return make()
                except NotHadError as reason:
                    reasons.append(str(reason))
    because = f"is not to be had: {'; '.join(reasons)}"
    raise ToolMissingError(str(Problem(sought.name, sought.version, because, sought.remedy)))


def _allowed(sought: Sought) -> Sequence[Origin]:
    asked = os.environ.get(sought.switch, "")
    chosen = [origin for origin in sought.origins if asked in ("", origin.name)]
    if not chosen:
        remedy = f"say one of {', '.join(origin.name for origin in sought.origins)}, or leave it unset"
        raise ToolMissingError(str(Problem(sought.switch, asked, f"is no origin of {sought.name}", remedy)))
    return chosen


def _look(origins: Sequence[Origin], reasons: list[str]) -> Tool | None:
    for origin in origins:
        try:
            if tool := origin.look():
                return tool
        except NotHadError as reason:
            reasons.append(str(reason))
    return None


def link(parts: dict[str, Path], names: Sequence[str], folder: Path) -> None:
    """Let ``folder`` hold a link for each of ``names`` that is in ``parts``, and none for the others."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        place = folder / name
        if name not in parts:
            place.unlink(missing_ok=True)
            continue
        target = parts[name].absolute()
        if place.is_symlink() and place.readlink() == target:
            continue
        fresh = folder / f".{name}.{os.getpid()}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        fresh.replace(place)
