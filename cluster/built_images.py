"""Images that are built on this machine: where they lie, whether one is whole, and which making of it a stack asks for.

They lie by digest in one folder for all stacks (``images.folder``): equal inputs are the same image, so a second stack
finds it there, and a stack that is destroyed leaves it. A file that is gone or was written to since is made again: the
number of its making is an input of the command that builds it, and goes up.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from cluster.settings.model import Settings
from cluster.standing import record_file


def image_file(settings: Settings, kind: str, digest: str) -> Path:
    """Return the file of an image; a relative path is so to the project's folder."""
    return Path(settings.images.folder).expanduser() / f"{kind}-{digest}.qcow2"


@dataclass(frozen=True)
class Built:
    """What is known of an image from the file of its name: ``size`` in bytes, ``built`` in UTC, ISO 8601."""

    size: int
    sha256: str
    built: str


def about(image: Path) -> Built | None:
    """Return what the JSON file beside an image says; None where there is none that can be read."""
    try:
        told = json.loads(image.with_suffix(".json").read_text())
        return Built(int(told["size_bytes"]), str(told["sha256"]), str(told["built"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_whole(image: Path) -> bool:
    """Whether an image is as it was built, as far as its size and times tell; ``packer/build.sh`` adds it up.

    The JSON file beside it is touched whenever every byte was looked at: an image that is newer was written to since.
    """
    told = about(image)
    try:
        there = image.stat()
        return told is not None and there.st_size == told.size and there.st_mtime <= _looked_at(image)
    except OSError:
        return False


def making(settings: Settings, stack: str, image: Path, folder: Path = Path()) -> int:
    """Return which making of an image a stack asks for: one more than the one that it had and that is not whole."""
    before = _made(mark_file(settings, stack, image))
    if before == 0 or is_whole(folder / image):
        return max(before, 1)
    return before + 1


def mark_file(settings: Settings, stack: str, image: Path) -> Path:
    """Return the file in which the build notes for a stack which making of an image it had."""
    return record_file(settings, stack).parent / "built" / image.stem


def _looked_at(image: Path) -> float:
    return image.with_suffix(".json").stat().st_mtime


def _made(mark: Path) -> int:
    try:
        return int(mark.read_text())
    except (OSError, ValueError):
        return 0
