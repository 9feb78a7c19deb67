"""The list of a version's files with their SHA-256. Its own SHA-256 stands for the whole version: the digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from cluster.transfer.verify import FORMAT, MANIFEST, ManifestError, entries

__all__ = ["MANIFEST", "Entry", "Manifest", "ManifestError", "parse"]


@dataclass(frozen=True)
class Entry:
    """A file: bytes and SHA-256 in hex."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """A version's files by path. Equal files give equal bytes, whenever and wherever they are made."""

    name: str
    version: str
    files: Mapping[str, Entry]

    def data(self) -> bytes:
        """Return the file's content."""
        files = [
            {"path": path, "size": entry.size, "sha256": entry.sha256} for path, entry in sorted(self.files.items())
        ]
        whole = {"format": FORMAT, "name": self.name, "version": self.version, "files": files}
        return (json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content, in hex."""
        return hashlib.sha256(self.data()).hexdigest()


def parse(data: bytes, name: str, version: str) -> Manifest:
    """Return the manifest that bytes hold. Raises ManifestError; also where it is of another version."""
    files = {path: Entry(size, digest) for path, (size, digest) in entries(data).items()}
    raw = json.loads(data)
    if (raw.get("name"), raw.get("version")) != (name, version):
        raise ManifestError(f"it is the manifest of {raw.get('name')}/{raw.get('version')}")
    made = Manifest(name, version, files)
    if made.data() != data:
        raise ManifestError("it was written by something else, or changed since")
    return made
