"""Files over the wire: hashed while they are read for it, in parallel, and noticed if they change meanwhile."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cluster.transfer.errors import ChangedError
from cluster.transfer.model import Identity, SourceFile
from cluster.transfer.plan import PART_BYTES, part_bytes
from cluster.transfer.state import Known
from cluster.transfer.store import Part, Store, composite, s3_checksum, same_checksum

_MEMORY = 256 << 20
"""Parts that are read and not yet sent take at most this much, or two parts."""

Moved = Callable[[int], None]
"""Told how many bytes more are where they belong."""


@dataclass(frozen=True)
class Digests:
    """Of a file: its SHA-256 in hex, and the checksum that a store holds of it."""

    sha256: str
    stored: str


@dataclass(frozen=True)
class Done:
    """A file that is where it belongs, and how many bytes went over the wire for it in this run."""

    known: Known
    sent_bytes: int
    sent: bool


class Sender:
    """Sends files into a store with ``jobs`` requests at a time.

    Small files run in the pool, one each; a large one is read and hashed by its caller, and its parts run in the pool.
    """

    def __init__(self, store: Store, pool: ThreadPoolExecutor, jobs: int, moved: Moved) -> None:
        self._store, self._pool, self._jobs, self._moved = store, pool, jobs, moved

    def send(self, path: Path, key: str, file: SourceFile, *, look: bool = False) -> Future[Done]:
        """Send a file; with ``look`` only if the object that is there is not this file.

        Raises, or its future does: ChangedError, BrokenObjectError, TransferError, OSError.
        """
        if file.size <= PART_BYTES:
            return self._pool.submit(self._looked if look else self._small, path, key, file)
        done: Future[Done] = Future()
        done.set_result((self._looked if look else self._large)(path, key, file))
        return done

    def _looked(self, path: Path, key: str, file: SourceFile) -> Done:
        found = digests(path, file)
        etag = there(self._store, key, found)
        if etag is None:
            return (self._small if file.size <= PART_BYTES else self._large)(path, key, file)
        self._moved(file.size)
        return Done(Known(file.identity, found.sha256, etag), 0, False)

    def _small(self, path: Path, key: str, file: SourceFile) -> Done:
        identity = file.identity
        with _unchanged(path, identity) as stream:
            data = stream.read(identity.size + 1)
        if len(data) != identity.size:
            raise ChangedError(str(path))
        etag = self._store.put(key, data)
        self._moved(len(data))
        return Done(Known(identity, hashlib.sha256(data).hexdigest(), etag), len(data), True)

    def _large(self, path: Path, key: str, file: SourceFile) -> Done:
        identity = file.identity
        upload, have = self._store.begun(key)
        parts: list[Future[Part]] = []
        try:
            with _unchanged(path, identity) as stream:
                sha256 = self._send_parts(stream, identity.size, (key, upload), have, parts)
                done = [each.result() for each in parts]
        except BaseException as error:
            wait([each for each in parts if not each.cancel()])
            if isinstance(error, ChangedError):
                self._store.give_up(key, upload)
            raise
        etag = self._store.finish(key, upload, done, sha256)
        again = sum(each.size for each in done if each == have.get(each.number))
        return Done(Known(identity, sha256, etag), identity.size - again, True)

    def _send_parts(
        self, stream: BinaryIO, size: int, where: tuple[str, str], have: dict[int, Part], parts: list[Future[Part]]
    ) -> str:
        """Hand every part of a file to the pool, as fast as it takes them; return the SHA-256 of the whole."""
        each_bytes = part_bytes(size)
        slots = threading.Semaphore(max(2, min(self._jobs + 1, _MEMORY // each_bytes)))
        whole = hashlib.sha256()
        for number, data in _pieces(stream, size, each_bytes):
            slots.acquire()
            # One that failed ends the whole: what follows would be read for nothing.
            for each in parts:
                if each.done():
                    each.result()
            parts.append(self._pool.submit(self._part, (*where, number), data, have.get(number)))
            parts[-1].add_done_callback(lambda _: slots.release())
            whole.update(data)
        return whole.hexdigest()

    def _part(self, where: tuple[str, str, int], data: bytes, have: Part | None) -> Part:
        digest = s3_checksum(hashlib.sha256(data).digest())
        if have is None or (have.size, have.sha256) != (len(data), digest):
            have = self._store.put_part(*where, data, digest)
        self._moved(len(data))
        return have


def digests(path: Path, file: SourceFile) -> Digests:
    """Read a file and return its digests. Raises ChangedError, OSError."""
    whole, parts = hashlib.sha256(), list[str]()
    with _unchanged(path, file.identity) as stream:
        for _, data in _pieces(stream, file.size, part_bytes(file.size)):
            whole.update(data)
            parts.append(s3_checksum(hashlib.sha256(data).digest()) if file.size > PART_BYTES else "")
    stored = composite(parts) if file.size > PART_BYTES else s3_checksum(whole.digest())
    return Digests(whole.hexdigest(), stored)


def there(store: Store, key: str, wanted: Digests) -> str | None:
    """Return the mark of an object that is what the digests say, else None; one without a checksum is read back."""
    stated, etag = store.stated(key)
    if stated is None:
        return etag if store.read_sha256(key) == wanted.sha256 else None
    return etag if same_checksum(stated, wanted.stored) else None


def _pieces(stream: BinaryIO, size: int, each: int) -> Iterator[tuple[int, bytes]]:
    """Yield number and content of every part of a file of that size; an empty file has one empty part."""
    for number in range(1, max(1, -(-size // each)) + 1):
        data = stream.read(min(each, size - (number - 1) * each))
        if len(data) != min(each, size - (number - 1) * each):
            raise ChangedError(stream.name)
        yield number, data


@contextmanager
def _unchanged(path: Path, identity: Identity) -> Iterator[BinaryIO]:
    """Open a file that is still what it was, and hold it to that once it was read: by handle and by name."""
    try:
        with path.open("rb") as stream:
            if Identity.of(os.fstat(stream.fileno())) != identity:
                raise ChangedError(str(path))
            yield stream
            if Identity.of(os.fstat(stream.fileno())) != identity or Identity.of(path.stat()) != identity:
                raise ChangedError(str(path))
    except FileNotFoundError:
        raise ChangedError(str(path)) from None
