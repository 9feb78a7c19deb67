"""Is a model's folder what its manifest says? A program of one file that needs nothing but Python 3.9.

An init container runs it on the folder that was downloaded, before anything is served from there:

    python verify.py FOLDER SHA256

SHA256 is the manifest's digest as the registry holds it (tag ``manifest_sha256``). Exit status 0: every file is there
and is what was sent; 1: something differs, a line each on standard error; 2: wrong usage.

The manifest is JSON: ``{"format": 1, "name", "version", "files": [{"path", "size", "sha256"}, ...]}``, sorted by path.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
"""Its name inside a model's folder; no file of a model may be called so."""
FORMAT = 1
_CHUNK = 1 << 20
_HEX = frozenset("0123456789abcdef")


class ManifestError(ValueError):
    """A manifest that cannot be used; the message says why."""


def entries(data: bytes) -> dict[str, tuple[int, str]]:
    """Return path -> (size in bytes, SHA-256) of a manifest. Raises ManifestError."""
    try:
        raw: Any = json.loads(data)
        if raw["format"] != FORMAT:
            raise ManifestError(f"format {raw['format']!r} is not known here, which is {FORMAT}")
        found = {str(item["path"]): (int(item["size"]), str(item["sha256"])) for item in raw["files"]}
    except ManifestError:
        raise
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ManifestError(f"it is not a manifest: {type(error).__name__}: {error}") from None
    if len(found) != len(raw["files"]):
        raise ManifestError("it names a file twice")
    for path, (size, digest) in found.items():
        if not path or path.startswith("/") or ".." in path.split("/"):
            raise ManifestError(f"it names a file outside of the folder: {path!r}")
        if size < 0 or len(digest) != 64 or not _HEX.issuperset(digest):
            raise ManifestError(f"size or SHA-256 of {path!r} is none")
    return found


def verify(folder: str | Path, digest: str | None = None) -> list[str]:
    """Return what is wrong with a folder, a sentence each; an empty list where every file is as it was sent.

    ``digest`` is the SHA-256 that the manifest itself must have; without it the folder is only held to the manifest
    that lies in it, which finds a broken file, not an exchanged model.
    """
    root = Path(folder)
    try:
        data = (root / MANIFEST).read_bytes()
    except OSError as error:
        return [f"{root / MANIFEST} cannot be read: {error.strerror}"]
    found = hashlib.sha256(data).hexdigest()
    if digest is not None and found != digest:
        return [f"{MANIFEST} has SHA-256 {found}, the registry says {digest}: this is not the registered model"]
    try:
        wanted = entries(data)
    except ManifestError as error:
        return [f"{MANIFEST}: {error}"]
    there = set(_files(root)) - {MANIFEST}
    problems = [f"{path} is missing" for path in sorted(wanted.keys() - there)]
    problems += [f"{path!r} is not of this model" for path in sorted(there - wanted.keys())]
    for path in sorted(there & wanted.keys()):
        problems += _differs(root / path, path, *wanted[path])
    return problems


def file_sha256(path: Path) -> str:
    """Return a file's SHA-256. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _differs(file: Path, path: str, size: int, digest: str) -> list[str]:
    try:
        found = file.stat().st_size
        if found != size:
            return [f"{path} has {found} bytes, the manifest says {size}"]
        actual = file_sha256(file)
    except OSError as error:
        return [f"{path} cannot be read: {error.strerror}"]
    return [] if actual == digest else [f"{path} has SHA-256 {actual}, the manifest says {digest}"]


def _files(root: Path) -> list[str]:
    found = []
    for folder, folders, names in os.walk(root):
        # A link to a folder is not walked into, and no model has one: it is told as a file that does not belong there.
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        found += [(Path(folder) / name).relative_to(root).as_posix() for name in [*names, *links]]
    return found


def main(words: list[str]) -> int:
    """Run; return the exit status."""
    if len(words) != 2:
        print("usage: verify.py FOLDER SHA256", file=sys.stderr)
        return 2
    problems = verify(words[0], words[1])
    for problem in problems:
        print(problem, file=sys.stderr)
    print("refused to serve" if problems else f"{words[0]} is the registered model")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
