"""What Packer builds a VM image from: the settings that shape it, and a hash that changes when any input does."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from cluster.settings.model import Settings

_SOURCES: Mapping[str, tuple[str, str]] = {
    "ubuntu-24.04": (
        "https://cloud-images.ubuntu.com/releases/noble/release/ubuntu-24.04-server-cloudimg-amd64.img",
        "file:https://cloud-images.ubuntu.com/releases/noble/release/SHA256SUMS",
    ),
    "debian-13": (
        "https://cloud.debian.org/images/cloud/trixie/latest/debian-13-genericcloud-amd64.qcow2",
        "file:https://cloud.debian.org/images/cloud/trixie/latest/SHA512SUMS",
    ),
}

DRIVER_BRANCH = "580"
"""NVIDIA driver branch in the GPU worker image, where the settings name none; the requirement's floor is 535."""


def base_image(settings: Settings) -> dict[str, str]:
    """Return the environment of ``packer/build.sh`` for the base image; the size in MiB."""
    images = settings.images
    url, checksum = _SOURCES[images.source]
    return {
        "IMAGE_SOURCE": images.url or url,
        # The distribution's own checksum list says nothing of an image of the user's.
        "IMAGE_CHECKSUM": images.checksum or ("none" if images.url else checksum),
        "IMAGE_SIZE_MIB": str(int(images.size)),
        "IMAGE_ACCELERATOR": images.packer_accelerator,
    }


def gpu_image(settings: Settings) -> dict[str, str]:
    """Return the environment of ``packer/build.sh`` for the GPU worker image, less its source: the base image."""
    version = settings.gpu_operator.driver_version
    return {
        "IMAGE_CHECKSUM": "none",
        "IMAGE_SIZE_MIB": str(int(settings.images.size)),
        "IMAGE_ACCELERATOR": settings.images.packer_accelerator,
        "IMAGE_DRIVER_BRANCH": version.split(".")[0] if version else DRIVER_BRANCH,
    }


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
