"""Part leases: the file that says which VM holds which GPU (``state.json``)."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from cluster.backup import tarred
from cluster.backup.errors import BackupError
from cluster.backup.model import Item, Manifest, Read, Restored, Save
from cluster.leases import text
from cluster.leases.book import Book
from cluster.leases.file import LeaseFile
from cluster.problems import InputError
from cluster.settings.sections.backup import Part

NAME = "state.json"
FILE = "leases.tar"


@dataclass(frozen=True)
class Leases:
    """``path`` is the settings' ``state``. ``disagreeing`` looks at libvirt and returns what does not agree with the
    file, a line each. ``scratch`` is a folder of ours.
    """

    path: Path
    scratch: Path
    disagreeing: Callable[[LeaseFile], list[str]]
    part: Part = "leases"

    def unfit(self) -> str:
        """Return why there is nothing to back up."""
        return "" if self.path.is_file() else f"there is no {self.path}: no GPU was ever leased from here"

    def back_up(self, save: Save, say: Callable[[str], None]) -> list[Item]:
        """Copy the file; one that cannot be read is not kept for a good one."""
        content = self._content()
        return [save(FILE, tarred.small({NAME: content}), lambda: _facts(content))]

    def tidy(self) -> list[str]:
        """Nothing outside the scratch folder is made."""
        return []

    def cannot_rehearse(self, manifest: Manifest) -> str:
        """A file can be read anywhere."""
        return ""

    def rehearse(self, manifest: Manifest, read: Read, say: Callable[[str], None]) -> Restored:
        """Restore into a file of its own, read it as the program does, compare."""
        found, began = Restored(), time.monotonic()
        target = self.scratch / NAME
        target.write_bytes(_stored(manifest, read))
        book = self._book(target)
        found.restore_s = time.monotonic() - began
        facts = manifest.items[0].facts
        found.compare("leases", facts["leases"], len(book.leases))
        found.compare("checksum", facts["sha256"], hashlib.sha256(target.read_bytes()).hexdigest())
        found.notes += list(self._since(book))
        return found

    def put_back(self, manifest: Manifest, read: Read, say: Callable[[str], None]) -> list[str]:
        """Put the leases in place of those that are there, under the file's own lock; then lay them beside libvirt."""
        try:
            book = text.parse(_stored(manifest, read).decode())
        except (ValueError, UnicodeDecodeError) as error:
            raise BackupError(f"the leases of {manifest.run} cannot be read: {error}; take an earlier backup") from None
        self._set_aside()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = LeaseFile(self.path)
        file.change(lambda _: book)
        lines = [f"{self.path} holds the {len(book.leases)} leases of {manifest.run}"]
        return lines + (self.disagreeing(file) or ["libvirt's definitions agree with them"])

    def by_hand(self, manifest: Manifest) -> list[str]:
        """Return what to do with the file."""
        return [f"compare {NAME} with {self.path}; it is put there by: cloudctl backup restore leases --over"]

    def _content(self) -> bytes:
        try:
            content = self.path.read_bytes()
            text.parse(content.decode())
        except OSError as error:
            raise BackupError(f"{self.path} cannot be read: {error.strerror}") from None
        except (ValueError, UnicodeDecodeError) as error:
            raise BackupError(
                f"{self.path} is not a lease file: {error}; put the last backup in its place:"
                " cloudctl backup restore leases --over"
            ) from None
        return content

    def _book(self, path: Path) -> Book:
        try:
            return LeaseFile(path).read()
        except InputError as error:
            raise BackupError(str(error)) from None

    def _since(self, book: Book) -> Iterator[str]:
        try:
            now = LeaseFile(self.path).read()
        except InputError:
            return
        changed = len(set(now.leases) ^ set(book.leases))
        if changed:
            yield f"{changed} leases were taken or given back since; a restore is laid beside libvirt, which knows them"

    def _set_aside(self) -> None:
        """Move a file that nobody can read out of the way: it may still be looked into."""
        try:
            LeaseFile(self.path).read()
        except InputError:
            names = (f"{self.path.name}.broken{f'-{number}' if number > 1 else ''}" for number in count(1))
            self.path.replace(next(path for path in map(self.path.with_name, names) if not path.exists()))


def _facts(content: bytes) -> dict[str, object]:
    return {"leases": len(text.parse(content.decode()).leases), "sha256": hashlib.sha256(content).hexdigest()}


def _stored(manifest: Manifest, read: Read) -> bytes:
    with read(manifest.items[0]) as stream:
        return tarred.contents(stream)[NAME]
