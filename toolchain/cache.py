"""The folder outside the clone where engines and plugins are kept, so that ten clones build once.

A folder there is either whole or absent: it is made under another name and renamed when it is complete.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from toolchain.progress import say

UNFINISHED = "unfinished-"
RECIPE = "1"
"""Raised by hand when the way of building changes and the modules do not."""


def root() -> Path:
    """Return the cache's folder, ``${XDG_CACHE_HOME:-~/.cache}/inference-cloud/toolchain``."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "inference-cloud" / "toolchain"


def folder_of(*sources: Path, words: str = "") -> Path:
    """Return where what is built of these files is kept: other files, words, recipe or platform are another folder."""
    digest = hashlib.sha256(f"{RECIPE} {platform.system()} {platform.machine()}{words}".encode())
    for source in sources:
        digest.update(source.read_bytes())
    return root() / digest.hexdigest()[:16]


@contextlib.contextmanager
def lock() -> Iterator[None]:
    """Hold the cache's lock: two makes at once build once, and the second one waits and says so."""
    root().mkdir(parents=True, exist_ok=True)
    with (root() / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another make is getting the engine or the plugin; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def whole(target: Path) -> Iterator[Path]:
    """Give an empty folder that becomes ``target`` when the block ends well, and vanishes when it does not.

    To be called with the lock held: whatever a killed run left unfinished is removed first.
    """
    for leftover in root().glob(f"{UNFINISHED}*"):
        shutil.rmtree(leftover)
    making = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=root()))
    try:
        yield making
        making.chmod(0o755)
        shutil.rmtree(target, ignore_errors=True)
        making.rename(target)
    finally:
        shutil.rmtree(making, ignore_errors=True)
