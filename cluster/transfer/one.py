"""One version: sent, checked, given its manifest and registered; or, once it has one, held to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cluster.problems import Problem
from cluster.transfer import scan
from cluster.transfer.errors import BrokenObjectError, ChangedError, TransferError
from cluster.transfer.manifest import MANIFEST, Entry, Manifest, ManifestError, parse
from cluster.transfer.model import Identity, ModelVersion, Outcome, Result, SourceFile
from cluster.transfer.plan import Plan, Stored, differences, shortened
from cluster.transfer.registry import Registered, Registry
from cluster.transfer.send import Done, Sender, digests
from cluster.transfer.state import Known, State
from cluster.transfer.store import Store

Verify = Literal["checksum", "read"]
"""The other side: by the SHA-256 that the store computes over what comes in; or every object read back as well."""


class RefusedVersionError(Exception):
    """A version that is not taken, or not as it was; the others go on."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


@dataclass(frozen=True)
class Tools:
    """What a version is worked on with; ``registry`` is None where nothing is to be registered. ``reading`` is the
    same bucket, for reading back: there an object that cannot be read is a broken one, and not waited for.
    """

    source: Path
    store: Store
    reading: Store
    registry: Registry | None
    state: State
    sender: Sender
    pool: ThreadPoolExecutor
    verify: Verify
    moved: Callable[[int], None]


@dataclass
class VersionJob:
    """The work on one version, in two steps: ``start`` puts its files on their way, ``finish`` waits for them."""

    tools: Tools
    plan: Plan
    stored: Mapping[str, Stored]
    known: Mapping[str, Known]
    registered: tuple[str, str] | None
    _files: dict[str, Future[Done]] = field(default_factory=dict)
    _manifest: Manifest | None = None
    _digest: str | None = None

    @property
    def version(self) -> ModelVersion:
        """Which one."""
        return self.plan.version

    def start(self) -> None:
        """Compare with the manifest that is there, if one is, and send what has to be sent. Raises as ``finish``."""
        if self.plan.state == "held":
            self._manifest = self._held()
        self._no_strangers()
        if self.plan.state != "complete" and self._manifest is None:
            self._hold_to_registry()
        for key in self.plan.leftovers:
            self.tools.store.delete(key)
            self.tools.state.forget(key)
        for file in self.plan.todo:
            key = self.version.key(file.path)
            there = key in self.stored and self.stored[key].size == file.size
            # After a file that we know another object: it was written over, so there is nothing to look at.
            over = key in self.known and there and self.known[key].etag != self.stored[key].etag
            sending = self.tools.sender.send(self._path(file), key, file, look=there and not over)
            sending.add_done_callback(lambda done, key=key: self._remember(key, done))  # type: ignore[misc]
            self._files[file.path] = sending

    def ready(self) -> bool:
        """Return whether ``finish`` would not have to wait for files."""
        return all(each.done() for each in self._files.values())

    def cancel(self) -> None:
        """Stop what has not begun, and wait for the rest."""
        wait([each for each in self._files.values() if not each.cancel()])

    def finish(self) -> Result:
        """Wait for the files, then write the manifest and register.

        Raises RefusedVersionError, ChangedError, BrokenObjectError or OSError for this version, TransferError for all.
        """
        done = {path: each.result() for path, each in self._files.items()}
        entries = {**self.plan.intact, **{path: Entry(*_entry(each)) for path, each in done.items()}}
        manifest = Manifest(self.version.name, self.version.version, entries)
        if self._manifest is not None and (wrong := differences(self._manifest, entries)):
            raise self._changed(wrong)
        if done and scan.again(self.tools.source, self.version) != self.version:
            raise ChangedError(self.version.label)
        anchor = self._anchor(manifest.digest) if self.tools.registry or self.registered else None
        repaired = sum(each.sent for each in done.values())
        if self.tools.verify == "read":
            repaired += self._read_back(manifest)
        if self.plan.state != "complete" and self._manifest is None:
            self._write(manifest)
            repaired += 1
        number = self._register(manifest.digest, anchor)
        outcome: Outcome = "sent" if self.plan.state == "new" else "repaired" if repaired else "complete"
        return Result(
            self.version.label,
            outcome,
            files=len(self.version.files),
            bytes=self.version.bytes,
            sent_files=sum(each.sent for each in done.values()),
            sent_bytes=sum(each.sent_bytes for each in done.values()),
            digest=manifest.digest,
            registered=number,
        )

    def _held(self) -> Manifest | None:
        """Return the bucket's manifest, to which the source was held; None where it is broken and has to be written.

        No object is touched before this: a version that was changed must not write over what is registered.
        """
        key = self.version.key(MANIFEST)
        data, etag = self.tools.store.get(key)
        try:
            manifest = parse(data, self.version.name, self.version.version)
        except ManifestError:
            return None
        digest = self.registered[0] if self.registered else None
        if digest is not None and manifest.digest != digest:
            return None
        sizes = {file.path: file.size for file in self.version.files}
        named = {path: entry.size for path, entry in manifest.files.items()}
        found = {path: Entry(size, manifest.files[path].sha256) for path, size in sizes.items() if path in named}
        found |= {path: Entry(sizes[path], "") for path in sizes.keys() - named.keys()}
        if sizes == named:
            found = {**self.plan.intact, **self._hashed()}
        if wrong := differences(manifest, found):
            raise self._changed(wrong)
        self.tools.state.remember(key, Known(_MADE, manifest.digest, etag))
        return manifest

    def _hold_to_registry(self) -> None:
        """Refuse a version without a manifest that is registered with other files, before one of them is sent."""
        found = self.tools.registry.find(self.version) if self.tools.registry and not self.registered else None
        digest = self.registered[0] if self.registered else found.digest if found else None
        if digest is not None:
            files = {**self.plan.intact, **self._hashed()}
            mine = Manifest(self.version.name, self.version.version, files).digest
            if mine != digest:
                raise self._other(mine, digest)

    def _hashed(self) -> dict[str, Entry]:
        """Return the entries of the files to do, read from the source where their digest is not known."""
        reading: dict[str, Future[str]] = {}
        found: dict[str, Entry] = {}
        for file in self.plan.todo:
            memory = self.known.get(self.version.key(file.path))
            if memory and memory.identity == file.identity:
                found[file.path] = Entry(file.size, memory.sha256)
            else:
                reading[file.path] = self.tools.pool.submit(_sha256, self._path(file), file)
        try:
            sizes = {file.path: file.size for file in self.plan.todo}
            return found | {path: Entry(sizes[path], each.result()) for path, each in reading.items()}
        finally:
            wait([each for each in reading.values() if not each.cancel()])

    def _anchor(self, digest: str) -> Registered | None:
        """Return how the version is registered, or None; refuse it where that was with other files."""
        if self.registered and self.registered[0] == digest and self.tools.verify != "read":
            return Registered(self.registered[1], digest)
        found = self.tools.registry.find(self.version) if self.tools.registry else None
        for other in (self.registered and self.registered[0], found and found.digest):
            if other and other != digest:
                raise self._other(digest, other)
        return found

    def _other(self, digest: str, registered: str) -> RefusedVersionError:
        return self._changed([f"its files have digest {digest}, registered is {registered}"])

    def _write(self, manifest: Manifest) -> None:
        """Put the manifest: from now on the version is complete, and must not change."""
        key = self.version.key(MANIFEST)
        etag = self.tools.store.put(key, manifest.data())
        self.tools.state.remember(key, Known(_MADE, manifest.digest, etag))

    def _register(self, digest: str, anchor: Registered | None) -> str | None:
        if self.tools.registry is None:
            return anchor.number if anchor else None
        if anchor is None:
            uri = f"s3://{self.tools.store.bucket}/{self.version.label}"
            source = str(self.tools.source / self.version.label)
            anchor = self.tools.registry.register(self.version, digest, uri, source)
        if self.registered != (digest, anchor.number):
            self.tools.state.register(self.version.label, digest, anchor.number)
        return anchor.number

    def _read_back(self, manifest: Manifest) -> int:
        """Read every object of the version; send again what is broken, and return how many were."""
        by_path = {file.path: file for file in self.version.files}
        reading = {path: self.tools.pool.submit(self._reads, path, entry) for path, entry in manifest.files.items()}
        broken = [path for path, each in reading.items() if not each.result()]
        for path in broken:
            key = self.version.key(path)
            self.tools.state.forget(key)
            done = self.tools.sender.send(self._path(by_path[path]), key, by_path[path])
            self._remember(key, done)
            if done.result().known.sha256 != manifest.files[path].sha256:
                raise ChangedError(path)
            if not self._reads(path, manifest.files[path]):
                raise BrokenObjectError(f"{key}: what is read back is not what was sent, twice")
        return len(broken)

    def _reads(self, path: str, entry: Entry) -> bool:
        try:
            return self.tools.reading.read_sha256(self.version.key(path)) == entry.sha256
        except TransferError:
            return False

    def _no_strangers(self) -> None:
        if self.plan.strange:
            inside = len(self.version.label) + 1
            names = shortened(key[inside:] for key in self.plan.strange)
            reason = f"has objects in bucket {self.tools.store.bucket} that this folder does not have: {names}"
            remedy = "delete them from the bucket if nobody needs them, or write the model as a new version"
            raise RefusedVersionError(Problem(self.version.label, None, reason, remedy))

    def _changed(self, wrong: list[str]) -> RefusedVersionError:
        reason = f"is not what was registered: {shortened(wrong)}"
        remedy = "put the files back, and write the new ones as a new version: one that is registered never changes"
        return RefusedVersionError(Problem(self.version.label, None, reason, remedy))

    def _remember(self, key: str, done: Future[Done]) -> None:
        if not done.cancelled() and done.exception() is None:
            self.tools.state.remember(key, done.result().known)

    def _path(self, file: SourceFile) -> Path:
        return self.tools.source / self.version.label / file.path


_MADE = Identity(0, 0, 0, 0)
"""Of the manifest, which no file of the source is."""


def _entry(done: Done) -> tuple[int, str]:
    return done.known.identity.size, done.known.sha256


def _sha256(path: Path, file: SourceFile) -> str:
    return digests(path, file).sha256
