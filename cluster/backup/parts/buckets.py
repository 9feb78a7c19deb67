"""Part buckets: what the object store holds, each bucket as one tar stream; nothing is staged on disk."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, BinaryIO

from cluster.backup import tarred
from cluster.backup.model import Item, Manifest, Read, Restored, Save
from cluster.backup.s3 import S3
from cluster.backup.tarred import Member
from cluster.services.logins import S3Login
from cluster.settings.sections.backup import Part

Login = Callable[[], AbstractContextManager[S3Login]]
"""A way to the store, for as long as it is needed. Raises BackupError."""


@dataclass(frozen=True)
class Buckets:
    """``names`` are those that are backed up. ``reader`` may read them, and make and remove scratch buckets whose names
    begin with ``scratch``; ``writer`` may write to all. ``away``: why the store cannot be asked on purpose.

    ``archive``: bucket and folder of PostgreSQL's archive; it goes back beside the living one, whose history it would
    break.
    """

    names: tuple[str, ...]
    reader: Login
    writer: Login
    scratch: str
    away: str = ""
    archive: tuple[str, str] | None = None
    part: Part = "buckets"

    def unfit(self) -> str:
        """Return why the store is not asked."""
        return self.away

    def back_up(self, save: Save, say: Callable[[str], None]) -> list[Item]:
        """Copy every bucket."""
        with self.reader() as login:
            store = S3(login, say)
            return [self._bucket(store, name, save, say) for name in self.names]

    def tidy(self) -> list[str]:
        """Remove the scratch buckets of a rehearsal that was killed."""
        if self.away:
            return []
        with self.reader() as login:
            store = S3(login)
            left = [name for name in store.buckets() if re.fullmatch(re.escape(self.scratch) + r"[0-9a-f]{8}", name)]
            for name in left:
                store.remove(name)
        return [f"bucket {name}" for name in left]

    def cannot_rehearse(self, manifest: Manifest) -> str:
        """Return why the store is not asked."""
        return self.away

    def rehearse(self, manifest: Manifest, read: Read, say: Callable[[str], None]) -> Restored:
        """Restore every object into a scratch bucket, read it back, compare, remove it: so the largest one has to fit.

        ``restore_s`` counts the stream and the writing, ``check_s`` the reading back.
        """
        found = Restored()
        with self.reader() as login:
            store = S3(login, say)
            bucket = f"{self.scratch}{secrets.token_hex(4)}"
            store.make(bucket)
            try:
                for item in manifest.items:
                    say(f"buckets: {_bucket_of(item)} into {bucket}")
                    self._rehearse(store, bucket, item, read, found)
            finally:
                store.remove(bucket)
        return found

    def put_back(self, manifest: Manifest, read: Read, say: Callable[[str], None]) -> list[str]:
        """Write into the buckets what is missing there or differs; what is not in the backup stays.

        PostgreSQL's archive goes into a folder of its own, named after the run.
        """
        lines = []
        with self.writer() as login:
            store = S3(login, say)
            there = store.buckets()
            for item in manifest.items:
                name = _bucket_of(item)
                if name not in there:
                    store.make(name)
                say(f"buckets: {name}")
                lines.append(self._put_back(store, name, item, read, manifest.run))
        return lines

    def by_hand(self, manifest: Manifest) -> list[str]:
        """Return what to do with the files."""
        return ["each folder is a bucket; back into the store: cloudctl backup restore buckets --over"]

    def _bucket(self, store: S3, name: str, save: Save, say: Callable[[str], None]) -> Item:
        digests: dict[str, tuple[int, str]] = {}
        gone: list[str] = []

        def members() -> Iterator[Member]:
            for number, listed in enumerate(store.list(name)):
                opened = store.open(name, listed.key)
                if opened is None:
                    gone.append(listed.key)
                    continue
                if number % 500 == 499:
                    say(f"buckets: {name}, {number + 1} objects")
                about = {"etag": opened.etag, **opened.about}
                if tarred.safe(listed.key) is None:
                    about["key"] = listed.key
                content = _digested(opened.chunks(), listed.key, digests)
                yield Member(_file_name(listed.key, number), opened.size, content, about)

        def facts() -> dict[str, Any]:
            return {"bucket": name, "objects": {key: list(value) for key, value in digests.items()}, "gone": gone}

        return save(f"{name}.tar", tarred.write(members()), facts)

    def _rehearse(self, store: S3, bucket: str, item: Item, read: Read, found: Restored) -> None:
        wanted: dict[str, list[Any]] = item.facts["objects"]
        right, wrong = 0, []
        with read(item) as stream:
            began, checking = time.monotonic(), 0.0
            for key, content, about in _objects(stream):
                store.put(bucket, key, content, about)
                asked = time.monotonic()
                if list(store.digest(bucket, key)) == wanted.get(key):
                    right += 1
                else:
                    wrong.append(key)
                store.delete(bucket, key)
                checking += time.monotonic() - asked
        found.check_s += checking
        found.restore_s += time.monotonic() - began - checking
        name = _bucket_of(item)
        found.compare(f"objects of bucket {name}, with their checksums", len(wanted), right)
        if wrong:
            found.problems.append(f"bucket {name}: {len(wrong)} objects are not as they were, such as {wrong[0]}")

    def _put_back(self, store: S3, name: str, item: Item, read: Read, run: str) -> str:
        there = {each.key: (each.size, each.etag) for each in store.list(name)}
        others = set(there)
        written = same = 0
        with read(item) as stream:
            for key, content, about in _objects(stream):
                target = self._target(name, key, run)
                others.discard(target)
                if there.get(target) == (item.facts["objects"][key][0], about["etag"]):
                    same += 1
                    continue
                store.put(name, target, content, about)
                written += 1
        line = f"bucket {name}: {written} objects written, {same} were there, {len(others)} that are not in it stay"
        if self.archive and name == self.archive[0]:
            folder = f"{self.archive[1]}-{run}"
            line += (
                f"; PostgreSQL's archive is in {folder}: cloudctl backup restore postgres --from-log --archive {folder}"
            )
        return line

    def _target(self, name: str, key: str, run: str) -> str:
        """Return where an object goes back."""
        folder, slash, rest = key.partition("/")
        if self.archive and (name, folder) == self.archive and slash:
            return f"{folder}-{run}/{rest}"
        return key


def _objects(stream: BinaryIO) -> Iterator[tuple[str, BinaryIO, dict[str, str]]]:
    for name, _, content, about in tarred.read(stream):
        yield about.get("key", name), content, about


def _digested(chunks: Iterator[bytes], key: str, digests: dict[str, tuple[int, str]]) -> Iterator[bytes]:
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
        yield chunk
    digests[key] = (size, digest.hexdigest())


def _file_name(key: str, number: int) -> str:
    return key if tarred.safe(key) else f"odd-name-{number}"


def _bucket_of(item: Item) -> str:
    return str(item.facts["bucket"])
