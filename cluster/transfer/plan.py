"""What has to be done for a version: the source, the bucket's listing and our memory laid side by side. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from cluster.transfer.manifest import MANIFEST, Entry, Manifest
from cluster.transfer.model import ModelVersion, SourceFile
from cluster.transfer.state import Known

PART_BYTES = 16 << 20
"""Files up to this size go in one piece, larger ones in parts of it."""
_MOST_PARTS = 9_000


@dataclass(frozen=True)
class Stored:
    """An object as the bucket's listing tells it."""

    size: int
    etag: str


@dataclass(frozen=True)
class Plan:
    """For one version.

    ``state``: ``complete``, nothing is to be done but perhaps its registration; ``held``, a manifest is in the bucket,
    so the version must not change any more; ``new``, none is. ``intact``: files whose object is known to be as it was
    sent, by path; ``todo``: the others. ``leftovers``: objects of ours that an unfinished run left and that are no
    file of the version any more; ``strange``: objects under the version's prefix that are not ours.
    """

    version: ModelVersion
    state: Literal["complete", "held", "new"]
    intact: Mapping[str, Entry]
    todo: tuple[SourceFile, ...]
    digest: str | None = None
    leftovers: tuple[str, ...] = ()
    strange: tuple[str, ...] = ()

    @property
    def todo_bytes(self) -> int:
        """Of the files that have to be looked at or sent."""
        return sum(file.size for file in self.todo)


def plan(version: ModelVersion, stored: Mapping[str, Stored], known: Mapping[str, Known]) -> Plan:
    """Return the plan of a version. ``stored``: the objects under its prefix, by key; ``known``: our memory, by key."""
    intact = {
        file.path: Entry(file.size, known[version.key(file.path)].sha256)
        for file in version.files
        if _as_sent(file, version.key(file.path), stored, known)
    }
    todo = tuple(file for file in version.files if file.path not in intact)
    manifest_key = version.key(MANIFEST)
    held = manifest_key in stored
    more = stored.keys() - {version.key(file.path) for file in version.files} - {manifest_key}
    ours = {key for key in more if not held and key in known and known[key].etag == stored[key].etag}
    left, strange = tuple(sorted(ours)), tuple(sorted(more - ours))
    if not held:
        return Plan(version, "new", intact, todo, None, left, strange)
    digest = known[manifest_key].sha256 if manifest_key in known else None
    same = digest is not None and stored[manifest_key].etag == known[manifest_key].etag
    if same and not todo and Manifest(version.name, version.version, intact).digest == digest:
        return Plan(version, "complete", intact, (), digest, left, strange)
    return Plan(version, "held", intact, todo, None, left, strange)


def by_version(stored: Mapping[str, Stored]) -> dict[str, dict[str, Stored]]:
    """Return a bucket's listing by the label of the version that each object lies under; what lies elsewhere is not
    ours to look at.
    """
    found: dict[str, dict[str, Stored]] = {}
    for key, each in stored.items():
        parts = key.split("/", 2)
        if len(parts) == 3:
            found.setdefault(f"{parts[0]}/{parts[1]}", {})[key] = each
    return found


def part_bytes(size: int) -> int:
    """Return how large the parts of a file are: a store takes 10,000 parts at most. Equal for equal sizes, for ever:
    a part of an interrupted upload is found again by its number.
    """
    needed = -(-size // _MOST_PARTS)
    return max(PART_BYTES, -(-needed // (1 << 20)) << 20)


def differences(manifest: Manifest, found: Mapping[str, Entry]) -> list[str]:
    """Return how files differ from a manifest, in words, sorted by path."""
    words: dict[str, str] = {}
    for path in manifest.files.keys() | found.keys():
        if path not in found:
            words[path] = f"{path} is gone"
        elif path not in manifest.files:
            words[path] = f"{path} is new"
        elif manifest.files[path] != found[path]:
            words[path] = f"{path} is another file"
    return [words[path] for path in sorted(words)]


def shortened(words: Iterable[str], most: int = 5) -> str:
    """Return words in a row; of many the first ones and how many more there are."""
    every = list(words)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def _as_sent(file: SourceFile, key: str, stored: Mapping[str, Stored], known: Mapping[str, Known]) -> bool:
    memory, there = known.get(key), stored.get(key)
    if memory is None or there is None:
        return False
    return memory.identity == file.identity and (there.etag, there.size) == (memory.etag, file.size)
