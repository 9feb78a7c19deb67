"""A run: each part in turn, whole or not at all; one that fails does not hold the others back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from cluster.backup.errors import MISHAPS, BackupError, in_words
from cluster.backup.model import Manifest, PartWork, run_id, utc_now
from cluster.backup.place import Place
from cluster.settings.sections.backup import Keep, Part


class Ending(Protocol):
    """What is told how a part ended: ``ok`` is set where it ended well."""

    ok: bool


@dataclass
class _Unheard:
    ok: bool = False


Told = Callable[[Part], AbstractContextManager[Ending]]
"""What hears how a part ended, for the monitoring."""


@dataclass(frozen=True)
class Done:
    """How a part ended: kept (``manifest``), left out on purpose (``skipped``: why), or failed (``problem``)."""

    part: Part
    manifest: Manifest | None = None
    skipped: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Report:
    """A run: ``created``, whether the place was made for it; ``forgotten``, how many old streams went."""

    run: str
    place: str
    parts: tuple[Done, ...]
    created: bool = False
    forgotten: int = 0
    problem: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.problem and not any(each.problem for each in self.parts)


def back_up(
    works: Sequence[PartWork],
    place: Place,
    keep: Keep,
    say: Callable[[str], None],
    told: Told = lambda _: nullcontext(_Unheard()),
) -> Report:
    """Back the parts up, then forget what is no longer kept. Raises PlaceError where the place cannot be used."""
    run = run_id(utc_now())
    created = place.open_or_create()
    place.restic.unlock()
    parts = tuple(_part(work, place, run, say, told) for work in works)
    forgotten, problem = 0, ""
    if any(each.manifest for each in parts):
        try:
            forgotten = place.retain(keep, run=run)
        except BackupError as error:
            problem = f"old backups were not forgotten: {error}"
    return Report(run, place.restic.repository, parts, created, forgotten, problem)


def _part(work: PartWork, place: Place, run: str, say: Callable[[str], None], told: Told) -> Done:
    if reason := work.unfit():
        return Done(work.part, skipped=reason)
    say(f"{work.part} ...")
    began, at = time.monotonic(), utc_now()
    with told(work.part) as ending:
        try:
            items = tuple(work.back_up(place.save(work.part, run), say))
            took = time.monotonic() - began
            manifest = Manifest(part=work.part, run=run, at=at, took_s=round(took, 3), items=items)
            place.complete(manifest)
        except MISHAPS as error:
            return Done(work.part, problem=in_words(error))
        ending.ok = True
    return Done(work.part, manifest)
