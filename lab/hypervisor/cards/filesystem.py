"""The played kernel's files as a FUSE file system: a write has taken effect when it returns, as in sysfs."""

from __future__ import annotations

import errno
import itertools
import os
import stat
import time
from collections.abc import Iterable
from typing import Any

import mfusepy

from lab.hypervisor.cards.kernel import GroupUse, Kernel
from lab.hypervisor.cards.sysfs import PAGE, File, Folder, GroupFile, Link, Node, find, tree

VIABLE, NOT_VIABLE = b"viable\n", b"not viable\n"
"""What a group's file says when it is read. A real one is asked by ioctl; FUSE cannot play those of VFIO."""


class Files(mfusepy.Operations):  # type: ignore[misc]
    """The operations that libfuse calls, from several threads; an OSError becomes the caller's errno."""

    use_ns = True

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._root = tree(kernel)
        self._handles = itertools.count(1)
        self._uses: dict[int, GroupUse] = {}
        self._since = time.time_ns()

    def init_with_config(self, conn_info: Any, config_3: Any) -> None:
        """Keep nothing in the kernel's caches: what a file says may be another thing at any time."""
        config_3.direct_io = 1
        config_3.entry_timeout = config_3.negative_timeout = config_3.attr_timeout = 0.0

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        """Return the attributes of a path."""
        node = find(self._root, path)
        times = dict.fromkeys(("st_atime", "st_mtime", "st_ctime"), self._since)
        return {"st_mode": _mode(node), "st_nlink": 1, "st_size": _size(node), **times}

    def readdir(self, path: str, fh: int) -> Iterable[str]:
        """Return the names in a folder."""
        node = find(self._root, path)
        if not isinstance(node, Folder):
            raise _error(errno.ENOTDIR)
        return [".", "..", *node.entries()]

    def readlink(self, path: str) -> str:
        """Return what a link points to."""
        node = find(self._root, path)
        if not isinstance(node, Link):
            raise _error(errno.EINVAL)
        return node.target

    def open(self, path: str, flags: int) -> int:
        """Open a file; opening a group's file takes the group."""
        node = find(self._root, path)
        handle = next(self._handles)
        if isinstance(node, GroupFile):
            self._uses[handle] = self._kernel.open_group(node.group)
        return handle

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        """Return a piece of a file as it is now."""
        if use := self._uses.get(fh):
            data = VIABLE if self._kernel.viable(use.group) else NOT_VIABLE
            return data[offset : offset + size]
        node = find(self._root, path)
        if not isinstance(node, File) or node.read is None:
            raise _error(errno.EIO)
        return node.read()[offset : offset + size]

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        """Do what is written. Written to a group's file: the address of the function that a VM takes."""
        if use := self._uses.get(fh):
            self._kernel.take(use, data.decode().strip())
            return len(data)
        node = find(self._root, path)
        if not isinstance(node, File) or node.write is None:
            raise _error(errno.EIO)
        node.write(bytes(data), offset)
        return len(data)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        """Do nothing: attributes have no length, but shells empty what they write to."""
        find(self._root, path)
        return 0

    def release(self, path: str, fh: int) -> int:
        """Close a file, after its last user."""
        if use := self._uses.pop(fh, None):
            self._kernel.close_group(use)
        return 0


def _mode(node: Node) -> int:
    if isinstance(node, Folder):
        return stat.S_IFDIR | 0o755
    if isinstance(node, Link):
        return stat.S_IFLNK | 0o777
    if isinstance(node, GroupFile):
        return stat.S_IFREG | 0o600
    return stat.S_IFREG | (0o444 if node.read else 0) | (0o200 if node.write else 0)


def _size(node: Node) -> int:
    if isinstance(node, Link):
        return len(node.target)
    return node.size if isinstance(node, File) else PAGE


def _error(code: int) -> OSError:
    return OSError(code, os.strerror(code))
