"""A backup's files in a folder: what every part can be restored into without touching anything that lives."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from cluster.backup import tarred
from cluster.backup.errors import BackupError
from cluster.backup.model import Item, Manifest
from cluster.backup.place import MANIFEST, Place

_CHUNK = 1 << 20
_ODD = "odd-names.json"


def into(folder: Path, manifest: Manifest, place: Place, say: Callable[[str], None]) -> list[Path]:
    """Write the files of a backup into an empty or new folder; return what was made there. Raises BackupError."""
    _must_be_free(folder, manifest.size)
    made = []
    before = os.umask(0o077)  # keys and passwords are among them
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for item in manifest.items:
            say(f"{item.file} into {folder}")
            made.append(_item(folder, item, place))
        (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1))
    finally:
        os.umask(before)
    return made


def _item(folder: Path, item: Item, place: Place) -> Path:
    name = item.file.rpartition("/")[2]
    with place.read(item) as stream:
        if not name.endswith(".tar"):
            return _write(folder / name, stream)
        below = folder / name.removesuffix(".tar")
        below.mkdir()
        odd: dict[str, str] = {}
        for member, _, content, about in tarred.read(stream):
            path = tarred.safe(member)
            if path is None:
                raise BackupError(f"{item.file} holds a file named {member!r}, which leads out of the folder")
            if "key" in about:
                odd[member] = about["key"]
            _write(below / path, content)
    if odd:
        # names that no file can have: what each would have been called
        (below / _ODD).write_text(json.dumps(odd, indent=1))
    return below


def _write(target: Path, content: BinaryIO) -> Path:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as stream:
            shutil.copyfileobj(content, stream, _CHUNK)
    except OSError as error:
        # In a store an object may have the name of a folder; in a file system none may.
        raise BackupError(f"{target} cannot be written: {error.strerror}; restore it into the store: --over") from None
    return target


def _must_be_free(folder: Path, size: int) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BackupError(f"{folder} is there already; name an empty or a new folder: --into FOLDER")
    above = next(each for each in (folder, *folder.absolute().parents) if each.is_dir())
    free = shutil.disk_usage(above).free
    if free < size * 1.05:
        raise BackupError(
            f"{above} has room for {free // 2**20} MiB, the backup has {size // 2**20}; name another: --into FOLDER"
        )
