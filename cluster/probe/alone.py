"""One look at a stack's nodes at a time: a second one would end the first one's listeners."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_LOCK = "look.lock"


@contextmanager
def alone(inventory: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock, beside the inventory's folder; wait for whoever has it, and say so."""
    lock = FileLock(inventory.absolute().parent.parent / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say("waiting for another look at these nodes to end")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
