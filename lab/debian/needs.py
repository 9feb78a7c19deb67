"""What a machine must have to make and boot images; all that is missing is said at once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping

_SBIN = ("/usr/sbin", "/sbin")

MAKE: Mapping[str, str] = {
    "mmdebstrap": "mmdebstrap",
    "apt-get": "apt",
    "chroot": "coreutils",
    "sfdisk": "fdisk",
    "mke2fs": "e2fsprogs",
    "qemu-img": "qemu-utils",
}
"""For the stock image: command -> Debian package that brings it."""

BUILD: Mapping[str, str] = {
    "packer": "packer",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "ssh-keygen": "openssh-client",
}
"""For a Packer build."""

BOOT: Mapping[str, str] = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "genisoimage": "genisoimage",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}
"""To boot an image."""


class ImageError(RuntimeError):
    """An image cannot be made or booted here; the message says why and what to do."""


def path() -> str:
    """Return ``PATH`` with the folders of system tools, which a user's own often lacks."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), *_SBIN])


def missing(*tools: Mapping[str, str], root: bool = False) -> str | None:
    """Return why this machine cannot do what needs these tools, with the remedy, or None where it can."""
    reasons = []
    if root and os.geteuid() != 0:
        reasons.append("it needs root, to own the files of the image; run it with sudo")
    lacking = [tool for tool in _once(tools) if not shutil.which(tool, path=path())]
    if lacking:
        packages = dict.fromkeys(each[tool] for tool in lacking for each in tools if tool in each)
        reasons.append(f"{', '.join(lacking)} is not installed; on Debian: apt-get install {' '.join(packages)}")
    return "; ".join(reasons) or None


def _once(tools: Iterable[Mapping[str, str]]) -> list[str]:
    return list(dict.fromkeys(tool for each in tools for tool in each))
