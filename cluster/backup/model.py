"""What a backup is made of, as it is written beside the data: items, and the manifest that completes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, BinaryIO, Protocol

from pydantic import BaseModel, ConfigDict

from cluster.settings.sections.backup import Part

VERSION = 1
RUN_FORM = "%Y%m%dT%H%M%SZ"


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Item(_Kept):
    """One stream of a part: ``file`` is its path in the repository, ``snapshot`` the id under which it lies there.

    ``size`` in bytes and ``sha256`` are of the stream itself; ``facts`` say what is in it: counts, checksums, versions.
    """

    file: str
    snapshot: str
    size: int
    sha256: str
    facts: dict[str, Any] = {}


class Manifest(_Kept):
    """A part's backup that is whole: it is written last, so what has none is what a killed run left.

    ``run`` names the run; ``at`` is the moment of which the data is, in UTC: what came later is not in it.
    """

    version: int = VERSION
    part: Part
    run: str
    at: datetime
    took_s: float
    items: tuple[Item, ...]

    @property
    def size(self) -> int:
        """Bytes of all items."""
        return sum(item.size for item in self.items)

    def item(self, ending: str) -> Item | None:
        """Return the item whose file ends so."""
        return next((item for item in self.items if item.file.endswith(ending)), None)


@dataclass(frozen=True)
class Saved:
    """A whole backup as the place lists it: what its manifest's tags say, without reading it.

    ``snapshot`` is the manifest's own id.
    """

    part: Part
    run: str
    at: datetime
    size: int
    snapshot: str


class Save(Protocol):
    """Keeps a stream under a name; facts that are known only after its end are asked then."""

    def __call__(self, name: str, chunks: Iterator[bytes], facts: Callable[[], dict[str, Any]] = ..., /) -> Item: ...


Read = Callable[[Item], AbstractContextManager[BinaryIO]]
"""Gives an item's stream back; at its end it is held to the item's size and checksum (BackupError)."""


@dataclass
class Restored:
    """How a rehearsal of a part went.

    ``restore_s``: what the restore took, ``check_s``: what comparing took. ``compared`` says what agreed, ``problems``
    what did not. ``notes``: what else was measured.
    """

    restore_s: float = 0.0
    check_s: float = 0.0
    compared: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def compare(self, what: str, wanted: object, found: object) -> None:
        """Note whether something is as the manifest says."""
        if wanted == found:
            self.compared.append(f"{what}: {found}")
        else:
            self.problems.append(f"{what}: the backup has {wanted}, the restore {found}")


class PartWork(Protocol):
    """How a part is copied, rehearsed and restored. Every method raises BackupError."""

    @property
    def part(self) -> Part:
        """Its name."""
        ...

    def unfit(self) -> str:
        """Return why this stack has nothing of the kind to back up, or cannot be asked on purpose; empty: it has."""
        ...

    def back_up(self, save: Save, say: Callable[[str], None]) -> list[Item]:
        """Copy the part."""
        ...

    def tidy(self) -> list[str]:
        """Remove what a killed rehearsal left; return what it was."""
        ...

    def cannot_rehearse(self, manifest: Manifest) -> str:
        """Return why a restore cannot be rehearsed here; empty: it can."""
        ...

    def rehearse(self, manifest: Manifest, read: Read, say: Callable[[str], None]) -> Restored:
        """Restore into scratch places, compare with the manifest, remove them again."""
        ...

    def put_back(self, manifest: Manifest, read: Read, say: Callable[[str], None]) -> list[str]:
        """Put the backup in place of what lives; return lines about it."""
        ...

    def by_hand(self, manifest: Manifest) -> list[str]:
        """Return what to do with the files of a backup that was restored into a folder."""
        ...


def utc_now() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)


def run_id(moment: datetime) -> str:
    """Return the name of a run that begins now: its time in UTC, to the second."""
    return moment.astimezone(UTC).strftime(RUN_FORM)
