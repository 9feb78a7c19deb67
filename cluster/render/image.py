"""What Packer builds a VM image from: the settings that shape it, and a hash that changes when any input does.

The hash is of what is in the image, not of how it came about: with the same checksum a mirror's file is the same file,
and an image that was built in emulation is the one that KVM would have built.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cluster.settings.model import Settings
from cluster.versions import CLOUD_IMAGES

DRIVER_BRANCH = "580"
"""NVIDIA driver branch in the GPU worker image, where the settings name none; the requirement's floor is 535."""

UNKNOWN: Final = "none"
"""The checksum of an image whose publisher states none to us."""

BASE_FILES: Final = ("base.pkr.hcl", "scripts/base.sh", "scripts/boot.sh", "scripts/cleanup.sh", "seed/*")
GPU_FILES: Final = ("gpu-worker.pkr.hcl", "scripts/gpu-worker.sh", "scripts/cleanup.sh", "seed/*")
"""What shapes each image, in ``packer/``: ``build.sh`` only carries it out, the variables only name what it gives."""


def base_image(settings: Settings) -> dict[str, str]:
    """Return the environment of ``packer/build.sh`` for the base image; the size in MiB."""
    images = settings.images
    pinned = CLOUD_IMAGES[images.source]
    server = (images.mirror or pinned.server).rstrip("/")
    return {
        "IMAGE_SOURCE": images.url or f"{server}/{pinned.path}",
        # The distribution's own checksum says nothing of an image of the user's.
        "IMAGE_CHECKSUM": images.checksum or (UNKNOWN if images.url else pinned.checksum),
        "IMAGE_SIZE_MIB": str(int(images.size)),
        "IMAGE_ACCELERATOR": images.packer_accelerator,
    }


def gpu_image(settings: Settings) -> dict[str, str]:
    """Return the environment of ``packer/build.sh`` for the GPU worker image, less its source: the base image."""
    version = settings.gpu_operator.driver_version
    made = {
        "IMAGE_CHECKSUM": UNKNOWN,
        "IMAGE_SIZE_MIB": str(int(settings.images.size)),
        "IMAGE_ACCELERATOR": settings.images.packer_accelerator,
        "IMAGE_DRIVER": settings.images.gpu_worker_driver,
    }
    if settings.images.gpu_worker_driver != "none":
        made["IMAGE_DRIVER_BRANCH"] = version.split(".")[0] if version else DRIVER_BRANCH
    return made


def base_digest(settings: Settings, packer: Path) -> str:
    """Return the digest of the base image's inputs; ``packer`` is the project's folder of that name."""
    return digest(_shaping(base_image(settings)), read_files(packer, *BASE_FILES))


def gpu_digest(settings: Settings, packer: Path) -> str:
    """Return the digest of the GPU worker image's inputs, those of the base image among them."""
    inputs = _shaping(gpu_image(settings)) | {"base": base_digest(settings, packer)}
    return digest(inputs, read_files(packer, *GPU_FILES))


def digest(environment: Mapping[str, str], files: Mapping[str, bytes]) -> str:
    """Return 12 hex digits that stand for these inputs: change one and the image is another."""
    total = hashlib.sha256()
    inputs = {name: value.encode() for name, value in environment.items()} | dict(files)
    for name, data in sorted(inputs.items()):
        total.update(f"{name}\0{len(data)}\0".encode() + data)
    return total.hexdigest()[:12]


def read_files(folder: Path, *patterns: str) -> dict[str, bytes]:
    """Return the content of the files that match, by their path within the folder."""
    found = sorted(path for pattern in patterns for path in folder.glob(pattern) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def _shaping(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what of the environment makes another image: not how it is built, nor whence if a checksum says what."""
    idle = {"IMAGE_ACCELERATOR"}
    if environment["IMAGE_CHECKSUM"] != UNKNOWN:
        idle.add("IMAGE_SOURCE")
    return {name: value for name, value in environment.items() if name not in idle}
