"""What is known of files and objects from earlier runs, in a file of SQLite. Losing it costs time and nothing else.

Every finished file is written down at once, so that a killed run goes on where it was. No secret is in it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster.transfer.model import Identity

_TABLES = """
CREATE TABLE IF NOT EXISTS object (target TEXT NOT NULL, key TEXT NOT NULL, size INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL, inode INTEGER NOT NULL, sha256 TEXT NOT NULL,
  etag TEXT NOT NULL,
  PRIMARY KEY (target, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS registered (target TEXT NOT NULL, label TEXT NOT NULL, digest TEXT NOT NULL,
  number TEXT NOT NULL, PRIMARY KEY (target, label)) WITHOUT ROWID;
"""
_FORMAT = 1


@dataclass(frozen=True)
class Known:
    """An object that we sent or looked at: the file that it was, its SHA-256, and the store's mark of its content."""

    identity: Identity
    sha256: str
    etag: str


class State:
    """The memory of one target; all methods may be called from any thread."""

    def __init__(self, path: Path, target: str) -> None:
        """Open or make the file. ``target`` names endpoint, bucket and registry: nothing is known of another.

        A file that cannot be read is put aside under the name ``*.broken``; ``note`` says so.
        """
        self.note: str | None = None
        self._target = target
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = _opened(path)
        except sqlite3.DatabaseError as error:
            aside = path.with_name(f"{path.name}.broken")
            path.replace(aside)
            for left in ("-wal", "-shm"):
                path.with_name(path.name + left).unlink(missing_ok=True)
            self.note = f"{path} could not be read ({error}); it is {aside} now, and everything is looked at anew"
            self._db = _opened(path)

    def objects(self) -> dict[str, Known]:
        """Return what is known, by key."""
        with self._lock:
            rows = self._db.execute(
                "SELECT key, size, mtime_ns, ctime_ns, inode, sha256, etag FROM object WHERE target = ?",
                (self._target,),
            ).fetchall()
        return {row[0]: Known(Identity(*row[1:5]), row[5], row[6]) for row in rows}

    def remember(self, key: str, known: Known) -> None:
        """Keep what is known of an object."""
        each = known.identity
        row = (self._target, key, each.size, each.mtime_ns, each.ctime_ns, each.inode, known.sha256, known.etag)
        with self._lock:
            self._db.execute("INSERT OR REPLACE INTO object VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def forget(self, key: str) -> None:
        """Drop an object."""
        with self._lock:
            self._db.execute("DELETE FROM object WHERE target = ? AND key = ?", (self._target, key))

    def registered(self) -> Mapping[str, tuple[str, str]]:
        """Return label -> (digest, number of the registry) of the versions that are registered."""
        with self._lock:
            rows = self._db.execute(
                "SELECT label, digest, number FROM registered WHERE target = ?", (self._target,)
            ).fetchall()
        return {label: (digest, number) for label, digest, number in rows}

    def register(self, label: str, digest: str, number: str) -> None:
        """Keep that a version is registered."""
        with self._lock:
            self._db.execute(
                "INSERT OR REPLACE INTO registered VALUES (?, ?, ?, ?)", (self._target, label, digest, number)
            )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


def _opened(path: Path) -> sqlite3.Connection:
    # Without isolation level every statement is its own transaction: what is remembered survives a kill.
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        if db.execute("PRAGMA user_version").fetchone()[0] not in (0, _FORMAT):
            raise sqlite3.DatabaseError("it was written by another version of this program")
        db.executescript(f"{_TABLES}PRAGMA user_version = {_FORMAT};")
    except BaseException:
        db.close()
        raise
    return db
