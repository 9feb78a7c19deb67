"""What is transferred, as data: files, the versions of models that they make up, and what became of each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from cluster.problems import Problem

Outcome = Literal["complete", "sent", "repaired", "waiting", "refused", "would send", "would check"]
"""Of a version: as it was; new and now there; objects were not as sent and are again; not taken yet; not taken."""


@dataclass(frozen=True)
class Identity:
    """By what a file is known to be the same without reading it. The change time moves even where an mtime is set."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, stat: os.stat_result) -> Identity:
        """Return the identity of what ``stat`` or ``fstat`` says."""
        return cls(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


@dataclass(frozen=True)
class SourceFile:
    """A file of a version: ``path`` below the version's folder, with slashes."""

    path: str
    identity: Identity

    @property
    def size(self) -> int:
        """Bytes."""
        return self.identity.size


@dataclass(frozen=True)
class ModelVersion:
    """A version as it lies in the source: ``SOURCE/name/version/files``, sorted by path."""

    name: str
    version: str
    files: tuple[SourceFile, ...]

    @property
    def label(self) -> str:
        """How it is told to people, and its prefix in the bucket."""
        return f"{self.name}/{self.version}"

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(file.size for file in self.files)

    def key(self, path: str) -> str:
        """Return the object's key of a file."""
        return f"{self.label}/{path}"


@dataclass(frozen=True)
class Waiting:
    """A version that is not taken yet, and why."""

    label: str
    reason: str


@dataclass(frozen=True)
class Scan:
    """What lies in the source: versions that can be taken, those that wait, and what can never be taken."""

    versions: tuple[ModelVersion, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass
class Result:
    """What became of a version; ``sent_bytes`` went over the network in this run."""

    label: str
    outcome: Outcome
    files: int = 0
    bytes: int = 0
    sent_files: int = 0
    sent_bytes: int = 0
    digest: str | None = None
    registered: str | None = None
    reason: str | None = None


@dataclass
class Report:
    """A whole run."""

    source: str
    bucket: str
    dry_run: bool
    results: list[Result] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether everything that could be taken is where it belongs."""
        return not self.problems

    def count(self, outcome: Outcome) -> int:
        """Return how many versions ended so."""
        return sum(1 for each in self.results if each.outcome == outcome)

    def stages(self) -> dict[str, int]:
        """Return how many versions have reached which stage: each that is registered is transferred, too."""
        there = [each for each in self.results if each.outcome in ("complete", "sent", "repaired")]
        return {
            "trained": len(self.results),
            "transferred": len(there),
            "registered": sum(1 for each in there if each.registered),
            "waiting": self.count("waiting"),
            "refused": self.count("refused"),
        }

    @property
    def sent_bytes(self) -> int:
        """Of all versions; none in a dry run."""
        return 0 if self.dry_run else sum(each.sent_bytes for each in self.results)

    @property
    def would_send_bytes(self) -> int:
        """In a dry run: of the versions that would be sent."""
        return sum(each.sent_bytes for each in self.results if each.outcome == "would send")


def sorted_files(files: Sequence[SourceFile]) -> tuple[SourceFile, ...]:
    """Return files in the order of the manifest."""
    return tuple(sorted(files, key=lambda file: file.path))
