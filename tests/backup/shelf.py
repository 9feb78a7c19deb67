"""A stand-in for a restic repository: it keeps streams in memory, under the same laws."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

from cluster.backup.errors import BackupError
from cluster.backup.restic import Snapshot, Stored


@dataclass
class Shelf:
    """``kept``: id -> snapshot and content. ``broken``: ids that come back damaged; ``exists``: whether it was made."""

    repository: str = "/mnt/nas/backups"
    kept: dict[str, tuple[Snapshot, bytes]] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    exists: bool = True
    name: str = "shelf"
    count: int = 0

    def identity(self) -> str | None:
        return self.name if self.exists else None

    def create(self) -> str:
        self.exists = True
        return self.name

    def unlock(self) -> None:
        pass

    def check(self) -> None:
        pass

    def save(self, file: str, chunks: Iterator[bytes], tags: Mapping[str, str]) -> Stored:
        content = b"".join(chunks)
        self.count += 1
        snapshot = Snapshot(f"id-{self.count}", f"{self.count:09}", file, dict(tags))
        self.kept[snapshot.id] = (snapshot, content)
        return Stored(snapshot.id, len(content), hashlib.sha256(content).hexdigest())

    def snapshots(self) -> list[Snapshot]:
        return [snapshot for snapshot, _ in self.kept.values()]

    @contextmanager
    def stream(self, snapshot: str, file: str) -> Iterator[BinaryIO]:
        found, content = self.kept[snapshot]
        assert found.file == file
        yield io.BytesIO(content[:-1] + bytes([content[-1] ^ 1]) if snapshot in self.broken else content)

    def text(self, snapshot: str, file: str) -> str:
        if snapshot in self.broken:
            raise BackupError("restic: ciphertext verification failed")
        return self.kept[snapshot][1].decode()

    def to_keep(self, tag: str, keep: Mapping[str, int]) -> list[str]:
        """Keep the last ones of each path only; days, weeks and months are restic's own."""
        name, _, value = tag.partition("=")
        paths: dict[str, list[str]] = {}
        for snapshot, _ in self.kept.values():
            if snapshot.tags.get(name) == value:
                paths.setdefault(snapshot.file, []).append(snapshot.id)
        return [each for ids in paths.values() for each in ids[-keep["last"] :]]

    def forget(self, snapshots: Sequence[str]) -> None:
        for each in snapshots:
            del self.kept[each]
