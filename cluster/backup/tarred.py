"""Streams of files, as tar writes them: made on the way, nothing kept on disk and no file held in memory whole."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import BinaryIO

from cluster.backup.errors import BackupError

_END = b"\0" * (2 * tarfile.BLOCKSIZE)


@dataclass(frozen=True)
class Member:
    """A file in a stream: its name (any text), its bytes in ``chunks``, ``size`` of them, and what else is known."""

    name: str
    size: int
    chunks: Iterable[bytes]
    about: Mapping[str, str] = field(default_factory=dict)


def write(members: Iterable[Member]) -> Iterator[bytes]:
    """Yield a tar stream (POSIX.1-2001: PAX headers, so names and sizes of any length). Raises BackupError where a
    member has not the size that it was said to have: what follows could not be read.
    """
    for member in members:
        info = tarfile.TarInfo(member.name)
        info.size, info.mode = member.size, 0o600
        info.pax_headers = {f"INFERENCE_CLOUD.{key}": value for key, value in member.about.items()}
        yield info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        written = 0
        for chunk in member.chunks:
            written += len(chunk)
            yield chunk
        if written != member.size:
            raise BackupError(f"{member.name} had {written} bytes instead of {member.size}: it changed; run this again")
        yield b"\0" * (-written % tarfile.BLOCKSIZE)
    yield _END


def read(stream: BinaryIO) -> Iterator[tuple[str, int, BinaryIO, dict[str, str]]]:
    """Yield name, size, content and what else is known of each file; a content is read before the next one.

    The stream is read to its very end. Raises BackupError where it is no tar stream, or is cut off.
    """
    try:
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            for info in tar:
                content = tar.extractfile(info)
                assert content is not None, "only files are written"
                about = {
                    key.removeprefix("INFERENCE_CLOUD."): value
                    for key, value in info.pax_headers.items()
                    if key.startswith("INFERENCE_CLOUD.")
                }
                yield info.name, info.size, _Whole(content, info), about  # type: ignore[misc]
        while stream.read(1 << 20):
            pass
    except (tarfile.TarError, EOFError) as error:
        raise BackupError(f"the stream cannot be read: {error}; take an earlier backup") from None


def small(files: Mapping[str, bytes]) -> Iterator[bytes]:
    """Yield a tar stream of files that are in memory."""
    return write(Member(name, len(content), [content]) for name, content in files.items())


def contents(stream: BinaryIO) -> dict[str, bytes]:
    """Return the files of a stream of small ones."""
    return {name: content.read() for name, _, content, _ in read(stream)}


def safe(name: str) -> PurePosixPath | None:
    """Return where a file of that name lies below a folder; None where the name leads out of it, or is none."""
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or str(path) != name or "\0" in name:
        return None
    return path


class _Whole(io.RawIOBase):
    """A member's content; its end before its size is an error, not an end."""

    def __init__(self, content: object, info: tarfile.TarInfo) -> None:
        self._content, self._left, self._name = content, info.size, info.name

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        wanted = self._left if size is None or size < 0 else min(size, self._left)
        try:
            piece: bytes = self._content.read(wanted)  # type: ignore[attr-defined]
        except tarfile.TarError:
            piece = b""
        if not piece and wanted:
            raise BackupError(f"the stream ends in the middle of {self._name}; take an earlier backup")
        self._left -= len(piece)
        return piece
