"""The world as files under LAB_DIR: each table one JSON file, changed under its lock and replaced whole.

A plugin may be killed at any instruction: then a change either happened or did not. Locks are ``flock``, which die with
their holder. The journal gets one line for each operation that may have changed the world.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Table = dict[str, Any]
"""One table: what it holds is its plugin's business, as long as JSON can carry it."""

_THREADS = threading.RLock()
"""flock is between processes; within one it is this lock that keeps threads apart."""


def replace_file(path: Path, text: str) -> None:
    """Write a file so that a reader, or a kill, sees the old content or the new one and nothing between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    with part.open("w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    part.replace(path)


class Store:
    """The files of one rehearsed stack."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def world(self) -> Path:
        """The folder of the tables."""
        return self.folder / "world"

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold the lock of a name against every other plugin process and thread."""
        self.world.mkdir(parents=True, exist_ok=True)
        with _THREADS, (self.world / f".{name}.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def read(self, name: str) -> Table:
        """Return a table as it is now; a missing one is empty."""
        try:
            table: Table = json.loads((self.world / f"{name}.json").read_text())
        except FileNotFoundError:
            return {}
        return table

    def write(self, name: str, table: Table) -> None:
        """Replace a table. Only under its lock."""
        replace_file(self.world / f"{name}.json", json.dumps(table, indent=1, sort_keys=True))

    @contextmanager
    def changing(self, name: str) -> Iterator[Table]:
        """Give a table to be changed, and write it when the block ends well; an exception leaves it as it was."""
        with self.locked(name):
            table = self.read(name)
            yield table
            self.write(name, table)

    def journal(self, **entry: object) -> None:
        """Append an operation to the journal. Never hand it property values: they may be secret."""
        line = json.dumps(entry) + "\n"
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.locked("journal"), (self.folder / "journal.jsonl").open("a") as out:
            out.write(line)
