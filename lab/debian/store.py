"""Where made images are kept between runs and clones: each whole or not at all, each made once however many ask.

``$XDG_CACHE_HOME/inference-cloud/images``, or ``~/.cache`` in its place. An image's name holds the hash of what it is
made from, so an old one is never taken for a new one; to have the space back, delete the folder.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def folder() -> Path:
    """Return the folder of kept images; it is made on demand."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    # The specification of XDG says that a relative path is to be ignored.
    home = Path(cache) if cache.startswith("/") else Path.home() / ".cache"
    return home / "inference-cloud" / "images"


def kept(name: str, make: Callable[[Path, Path], None]) -> Path:
    """Return the kept file of that name; where there is none, ``make(file, work)`` makes it in an empty folder.

    Two processes that ask at once make it once: the second waits for the first. What a killed run left is removed.
    """
    place = folder() / name
    if place.exists():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with _locked(place.with_suffix(".lock")):
        if place.exists():
            return place
        prefix = f".{name}."
        for left in place.parent.glob(f"{prefix}*"):
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=prefix, dir=place.parent) as work:
            made = Path(work) / "made"
            make(made, Path(work))
            with made.open("rb") as file:
                os.fsync(file.fileno())
            made.rename(place)
    return place


@contextmanager
def _locked(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
