"""Images that lie on this machine, beside what the project's stack files ask for."""

from __future__ import annotations

import fcntl
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloudctl import project
from cluster.built_images import about, image_file, is_whole
from cluster.problems import InputError
from cluster.render import image
from cluster.settings.load import from_file
from cluster.settings.model import Settings
from cluster.vm import pinned_images

_IMAGE = re.compile(r"(?P<kind>base|gpu-worker)-(?P<digest>[0-9a-f]{12})\.qcow2")
_DEAD = re.compile(r"\.(?P<kind>base|gpu-worker)\.\w{6}")


@dataclass(frozen=True)
class Found:
    """An image: its file, which stacks ask for it."""

    path: Path
    kind: str
    users: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self.path.stat().st_size

    def row(self) -> dict[str, Any]:
        """Return what there is to show of it."""
        told = about(self.path)
        return {
            "name": self.path.name,
            "path": str(self.path),
            "bytes": self.size,
            "built": told.built if told else None,
            "whole": is_whole(self.path),
            "used_by": list(self.users),
        }


@dataclass(frozen=True)
class Look:
    """What lies there; ``dead`` are folders of builds, and ``problem`` says that a stack file could not be read."""

    images: tuple[Found, ...]
    dead: tuple[Path, ...]
    problem: InputError | None

    @property
    def dead_names(self) -> list[str]:
        """The folders of builds that nobody is at work in."""
        return [str(path) for path in self.dead]

    @property
    def dead_bytes(self) -> int:
        """What they take."""
        return sum(file.stat().st_size for path in self.dead for file in path.rglob("*") if file.is_file())

    def clean(self) -> list[str]:
        """Delete what nobody uses; return what stays because a build is at work there."""
        kept = []
        for each in self.images:
            if not each.users:
                with _alone(each.path.parent, each.kind) as alone:
                    if alone:
                        each.path.with_suffix(".json").unlink(missing_ok=True)
                        each.path.unlink(missing_ok=True)
                    else:
                        kept.append(str(each.path))
        for path in self.dead:
            with _alone(path.parent, _kind(path)) as alone:
                if alone:
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    kept.append(str(path))
        return kept


def look() -> Look:
    """Return the images of the folders that the project's stack files name."""
    users: dict[Path, list[str]] = {}
    folders: set[Path] = set()
    problem: InputError | None = None
    for name, file in project.stack_files(project.root()).items():
        try:
            settings = from_file(file)
        except InputError as error:
            problem = problem or error
            continue
        for path in _wanted(settings):
            folders.add(path.parent)
            users.setdefault(path, []).append(name)
    files = [path for folder in sorted(folders) if folder.is_dir() for path in sorted(folder.iterdir())]
    images = [(path, match["kind"]) for path in files if (match := _IMAGE.fullmatch(path.name))]
    found = tuple(Found(path, kind, tuple(users.get(path, ()))) for path, kind in images)
    return Look(found, tuple(path for path in files if path.is_dir() and _is_dead(path)), problem)


def _wanted(settings: Settings) -> Iterator[Path]:
    """Yield the files of the images that a stack boots from, or is pinned to."""
    packer = project.root() / "packer"
    kinds = {"base": image.base_digest(settings, packer), "gpu-worker": image.gpu_digest(settings, packer)}
    if not (settings.images.gpu_worker and settings.gpu_count):
        del kinds["gpu-worker"]
    for kind, digest in kinds.items():
        pinned = {each for digests in pinned_images(settings, kind).values() for each in digests}
        for each in sorted({digest, *pinned}):
            yield project.root() / image_file(settings, kind, each)


def _is_dead(path: Path) -> bool:
    if not _DEAD.fullmatch(path.name):
        return False
    with _alone(path.parent, _kind(path)) as alone:
        return alone


def _kind(path: Path) -> str:
    match = _DEAD.fullmatch(path.name)
    assert match
    return match["kind"]


@contextmanager
def _alone(folder: Path, kind: str) -> Iterator[bool]:
    """Hold the lock of ``packer/build.sh``; False where a build has it."""
    with (folder / f".{kind}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
