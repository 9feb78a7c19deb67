"""Backups in a place: what is there, kept whole or not at all, for as long as the settings say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import ValidationError

from cluster import whole
from cluster.backup.errors import BackupError, PlaceError
from cluster.backup.model import RUN_FORM, Item, Manifest, Saved, run_id
from cluster.backup.restic import Restic, Snapshot
from cluster.settings.sections.backup import PARTS, Keep, Part

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Place:
    """``memory`` is a file that remembers the repository's id: a place that was full once and is empty now is not
    mounted, and nothing must be begun there anew.
    """

    restic: Restic
    memory: Path

    def open(self) -> None:
        """See that the repository can be read. Raises PlaceError."""
        if self.restic.identity() is None:
            raise PlaceError(f"there are no backups at {self.restic.repository}; make some: cloudctl backup run")

    def open_or_create(self) -> bool:
        """See that there is a repository; make it at the first time. Return whether it was made. Raises PlaceError."""
        known, found = self._remembered(), self.restic.identity()
        if found is not None and known not in (None, found):
            raise PlaceError(
                f"{self.restic.repository} holds another repository than before; if that is meant: rm {self.memory}"
            )
        if found is None:
            if known is not None:
                raise PlaceError(
                    f"the backups that were at {self.restic.repository} are gone: is it mounted? To begin anew there:"
                    f" rm {self.memory}"
                )
            self._must_have_parent()
            self._remember(self.restic.create())
            return True
        self._remember(found)
        return False

    def list(self) -> list[Saved]:
        """Return every whole backup, newest first."""
        found = [_saved(each) for each in self.restic.snapshots() if each.tags.get("kind") == "manifest"]
        return sorted((each for each in found if each), key=lambda each: (each.at, each.run), reverse=True)

    def save(self, part: Part, run: str) -> Callable[..., Item]:
        """Return what keeps the items of a part's run."""

        def keep(name: str, chunks: Iterator[bytes], facts: Callable[[], dict[str, Any]] = dict) -> Item:
            file = f"/{part}/{name}"
            stored = self.restic.save(file, chunks, {"run": run, "part": part, "kind": "item"})
            return Item(file=file, snapshot=stored.snapshot, size=stored.size, sha256=stored.sha256, facts=facts())

        return keep

    def complete(self, manifest: Manifest) -> None:
        """Write a part's manifest: from here on its backup is whole."""
        text = manifest.model_dump_json(indent=1).encode()
        tags = {"run": manifest.run, "part": manifest.part, "kind": "manifest"}
        tags |= {"at": f"{manifest.at.astimezone(UTC):{RUN_FORM}}", "bytes": str(manifest.size)}
        self.restic.save(f"/{manifest.part}/{MANIFEST}", iter([text]), tags)

    def manifest(self, saved: Saved) -> Manifest:
        """Read a backup's manifest. Raises BackupError."""
        text = self.restic.text(saved.snapshot, f"/{saved.part}/{MANIFEST}")
        try:
            return Manifest.model_validate(json.loads(text))
        except (ValueError, ValidationError):
            raise BackupError(
                f"the manifest of {saved.part} {saved.run} is not one that this program reads; take an earlier backup"
            ) from None

    @contextmanager
    def read(self, item: Item) -> Iterator[BinaryIO]:
        """Give an item back; a stream that was read to its end is held to the manifest. Raises BackupError."""
        with self.restic.stream(item.snapshot, item.file) as stream:
            held = _Held(stream)
            yield held  # type: ignore[misc]  # it reads, which is all that is done with it
            if not held.read(1):
                held.judge(item)

    def retain(self, keep: Keep, *, run: str) -> int:
        """Forget the backups that are no longer kept, and what unfinished runs left; return how many streams that was.

        A backup goes with all of its streams or not at all. What has no manifest goes a day after it was made: before
        that it may be of a run under way, ``run`` or another machine's. Snapshots that others made there stay.
        """
        wanted = set(self.restic.to_keep("kind=manifest", keep.model_dump()))
        ours = [each for each in self.restic.snapshots() if each.tags.get("kind") in ("item", "manifest")]
        whole = {_key(each) for each in ours if each.tags["kind"] == "manifest"}
        kept = {_key(each) for each in ours if each.id in wanted}
        yesterday = run_id(datetime.strptime(run, RUN_FORM).replace(tzinfo=UTC) - timedelta(days=1))
        gone = [
            each.id
            for each in ours
            if _key(each) not in kept and (_key(each) in whole or each.tags.get("run", "") < yesterday)
        ]
        self.restic.forget(gone)
        return len(gone)

    def on_disk_of(self, path: Path) -> bool:
        """Whether the place is a folder on the same disk as ``path``, where one disk's end is that of both."""
        if self.restic.repository.startswith("s3:"):
            return False
        try:
            return Path(self.restic.repository).stat().st_dev == path.stat().st_dev
        except OSError:
            return False

    def _must_have_parent(self) -> None:
        folder = self.restic.repository
        if not folder.startswith("s3:") and not Path(folder).parent.is_dir():
            raise PlaceError(f"there is no {Path(folder).parent}; mount it, or name another place: backup.place")

    def _remembered(self) -> str | None:
        try:
            return self.memory.read_text().strip() or None
        except FileNotFoundError:
            return None

    def _remember(self, identity: str) -> None:
        whole.replace(self.memory, f"{identity}\n")


def newest(saved: list[Saved], part: Part, at: datetime | None = None) -> Saved | None:
    """Return a part's newest backup, or the newest of those whose data is not later than ``at``."""
    return next((each for each in saved if each.part == part and (at is None or each.at <= at)), None)


class _Held:
    """A stream whose size and checksum are taken while it is read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._digest, self._size = stream, hashlib.sha256(), 0

    def read(self, size: int = -1) -> bytes:
        """Read as files do."""
        piece = self._stream.read(size)
        self._digest.update(piece)
        self._size += len(piece)
        return piece

    def judge(self, item: Item) -> None:
        """Raise BackupError where it is not what was kept."""
        if (self._size, self._digest.hexdigest()) != (item.size, item.sha256):
            raise BackupError(
                f"{item.file} came back as {self._size} bytes with another checksum than was kept ({item.size} bytes):"
                " the place is damaged; see: restic check --read-data; take an earlier backup"
            )


def _key(snapshot: Snapshot) -> tuple[str, str]:
    return snapshot.tags.get("part", ""), snapshot.tags.get("run", "")


def _saved(snapshot: Snapshot) -> Saved | None:
    tags = snapshot.tags
    try:
        at = datetime.strptime(tags["at"], RUN_FORM).replace(tzinfo=UTC)
        part = next(part for part in PARTS if part == tags["part"])
        return Saved(part, tags["run"], at, int(tags["bytes"]), snapshot.id)
    except (KeyError, ValueError, StopIteration):
        return None
