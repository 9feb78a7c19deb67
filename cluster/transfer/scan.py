"""What lies in the source, and which of it can be taken. Reads names and times, never a file's content."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cluster.problems import InputError, Problem
from cluster.transfer.model import Identity, ModelVersion, Scan, SourceFile, Waiting, sorted_files
from cluster.transfer.verify import MANIFEST

MARKER = ".incomplete"
"""A file of this name in a version's folder says that it is still being written."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_KEY_BYTES = 1024


def scan(source: Path, *, now: float, min_age_s: float) -> Scan:
    """Return what lies in ``SOURCE/NAME/VERSION/...``; folders that begin with a dot are nobody's models.

    A version waits while its newest file or folder is younger than ``min_age_s`` before ``now`` (seconds since the
    epoch), or has a marker. What can never be taken is a problem each. Raises InputError where the source is no folder.
    """
    if not source.is_dir():
        remedy = "mount it, or name the folder of the models: cloudctl models sync FOLDER"
        raise InputError("models", [Problem("source", str(source), "is not a folder", remedy)])
    versions: list[ModelVersion] = []
    waiting: list[Waiting] = []
    problems: list[Problem] = []
    for name in _folders(source, str(source), problems):
        if not _NAME.fullmatch(name.name):
            problems.append(_bad_name(name.name, "model"))
            continue
        for folder in _folders(name, name.name, problems):
            found = _version(source, name.name, folder, now - min_age_s)
            problems += found.problems
            waiting += found.waiting
            versions += found.versions
    return Scan(tuple(versions), tuple(waiting), tuple(problems))


def again(source: Path, version: ModelVersion) -> ModelVersion | None:
    """Return a version as it lies there now; None where it cannot be taken any more."""
    found = _version(source, version.name, source / version.name / version.version, float("inf"))
    return found.versions[0] if found.versions else None


def _folders(parent: Path, label: str, problems: list[Problem]) -> list[Path]:
    try:
        inside = sorted(os.scandir(parent), key=lambda entry: entry.name)
        return [Path(entry.path) for entry in inside if not entry.name.startswith(".") and entry.is_dir()]
    except OSError as error:
        problems.append(_unreadable(label, error))
        return []


def _version(source: Path, name: str, folder: Path, newest_allowed: float) -> Scan:
    label = f"{name}/{folder.name}"
    if not _NAME.fullmatch(folder.name):
        return Scan(problems=(_bad_name(label, "version"),))
    walk = _Walk(source.resolve(), label)
    files = sorted_files(list(walk.files(folder, "")))
    if walk.problems:
        return Scan(problems=tuple(walk.problems))
    if any(file.path == MARKER for file in files):
        return Scan(waiting=(Waiting(label, f"it holds a file {MARKER}"),))
    if not files:
        return Scan(waiting=(Waiting(label, "it holds no file yet"),))
    if walk.newest > newest_allowed:
        return Scan(waiting=(Waiting(label, "it was written to moments ago"),))
    return Scan(versions=(ModelVersion(name, folder.name, files),))


@dataclass
class _Walk:
    """Goes through a version's folder: what it meets last in time, and what is no model's file."""

    source: Path
    label: str
    newest: float = 0.0

    def __post_init__(self) -> None:
        self.problems: list[Problem] = []

    def files(self, folder: Path, below: str) -> Iterator[SourceFile]:
        try:
            # A file that was moved in keeps its own times; the folder's tell of it.
            self.newest = max(self.newest, folder.stat().st_mtime)
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            self.problems.append(_unreadable(f"{self.label}/{below}".rstrip("/"), error))
            return
        for entry in entries:
            path = f"{below}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from self.files(Path(entry.path), f"{path}/")
            elif file := self._file(entry, path):
                yield file

    def _file(self, entry: os.DirEntry[str], path: str) -> SourceFile | None:
        where = f"{self.label}/{path}"
        if reason := _bad_path(where, path):
            self.problems.append(Problem(self.label, path, reason, "rename it; the rest of the version waits for it"))
            return None
        try:
            found = entry.stat()
        except OSError as error:
            self.problems.append(_unreadable(where, error))
            return None
        inside = not entry.is_symlink() or Path(entry.path).resolve().is_relative_to(self.source)
        if not stat.S_ISREG(found.st_mode) or not inside:
            reason = "is not a file" if inside else "is a link to outside of the source"
            self.problems.append(Problem(self.label, path, reason, "put a file there, or take it out"))
            return None
        self.newest = max(self.newest, found.st_mtime)
        return SourceFile(path, Identity.of(found))


def _bad_path(key: str, path: str) -> str | None:
    if path == MANIFEST:
        return "is the name of the list that the transfer writes itself"
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        return "is not a name in UTF-8"
    if length > _KEY_BYTES:
        return f"is longer than an object's name can be: {length} bytes, {_KEY_BYTES} at most"
    return "has a control character in its name" if any(ord(each) < 32 or ord(each) == 127 for each in path) else None


def _bad_name(label: str, what: str) -> Problem:
    reason = f"cannot be the name of a {what}: letters, digits, dot, dash and underscore, 128 at most"
    return Problem("source", label, reason, "rename the folder, or begin its name with a dot to have it passed over")


def _unreadable(label: str, error: OSError) -> Problem:
    return Problem("source", label, f"cannot be read: {error.strerror}", "give the user who runs this the right to it")
