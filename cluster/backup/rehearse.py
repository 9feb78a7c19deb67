"""A rehearsal: the newest backup of every part, restored into scratch places, compared, and removed again."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from cluster.backup.errors import MISHAPS, BackupError, in_words
from cluster.backup.model import PartWork, Restored, Saved, utc_now
from cluster.backup.place import Place, newest
from cluster.settings.sections.backup import Part


@dataclass(frozen=True)
class Rehearsed:
    """How a part went. ``rpo_s``: how old the data of its newest backup is, all that is lost if it is needed now;
    ``restore_s``: how long the restore took; both None where there was nothing to restore.
    """

    part: Part
    run: str = ""
    at: datetime | None = None
    size: int = 0
    rpo_s: float | None = None
    restore_s: float | None = None
    check_s: float | None = None
    compared: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    skipped: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing was found wrong; what was skipped has not been shown to be right either."""
        return not self.problems


@dataclass(frozen=True)
class Rehearsal:
    """``cleaned``: what a rehearsal that was killed had left. ``place_problem``: what is wrong with the place."""

    place: str
    parts: tuple[Rehearsed, ...]
    cleaned: tuple[str, ...] = ()
    place_problem: str = ""
    took_s: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether every part that could be restored is as it was."""
        return not self.place_problem and all(each.ok for each in self.parts)


@dataclass(frozen=True)
class Scratch:
    """A folder of ours, empty while a part begins and gone at the end."""

    folder: Path

    def clear(self) -> bool:
        """Make it empty; return whether there was something in it."""
        there = self.folder.is_dir() and any(self.folder.iterdir())
        self.remove()
        self.folder.mkdir(parents=True, mode=0o700)
        return there

    def remove(self) -> None:
        """Remove it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def rehearse(works: Sequence[PartWork], place: Place, scratch: Scratch, say: Callable[[str], None]) -> Rehearsal:
    """Rehearse every part. Raises PlaceError where the place cannot be used; a part's problems are in its row."""
    began = time.monotonic()
    place.open()
    cleaned = [f"files in {scratch.folder}"] if scratch.clear() else []
    saved, problem = place.list(), ""
    say("the place itself ...")
    try:
        place.restic.check()
    except BackupError as error:
        problem = str(error)
    parts = []
    try:
        for work in works:
            scratch.clear()
            parts.append(_part(work, place, newest(saved, work.part), say, cleaned))
    finally:
        scratch.remove()
    return Rehearsal(place.restic.repository, tuple(parts), tuple(cleaned), problem, round(time.monotonic() - began, 3))


def _part(
    work: PartWork, place: Place, last: Saved | None, say: Callable[[str], None], cleaned: list[str]
) -> Rehearsed:
    if last is None:
        reason = work.unfit()
        if reason:
            return Rehearsed(work.part, skipped=reason)
        return Rehearsed(work.part, problems=("there is no backup of it: cloudctl backup run",))
    about = Rehearsed(work.part, last.run, last.at, last.size, round((utc_now() - last.at).total_seconds(), 1))
    try:
        manifest = place.manifest(last)
    except BackupError as error:
        return replace(about, problems=(str(error),))
    if reason := work.cannot_rehearse(manifest):
        return replace(about, skipped=reason)
    say(f"{work.part} of {manifest.run} ...")
    found = Restored()
    try:
        cleaned += work.tidy()
        found = work.rehearse(manifest, place.read, say)
    except MISHAPS as error:
        found.problems.append(in_words(error))
        return replace(about, problems=tuple(found.problems))
    return replace(
        about,
        restore_s=round(found.restore_s, 3),
        check_s=round(found.check_s, 3),
        compared=tuple(found.compared),
        problems=tuple(found.problems),
        notes=tuple(found.notes),
    )
