"""The journal of an operation that may be killed: a JSON file, replaced whole; one operation at a time."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from cluster.problems import InputError, Problem

J = TypeVar("J", bound=BaseModel)


def now() -> str:
    """Return the time as a journal says it: UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class JournalFile(ABC, Generic[J]):
    """The file of a journal of the model ``kind``; ``lock`` keeps a second operation out while the first one lives."""

    kind: type[J]
    whose: ClassVar[str]
    """Of what the file is the journal, with its article."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> J | None:
        """Return the journal, or None where there never was one. Raises InputError where it cannot be read."""
        try:
            return self.kind.model_validate(json.loads(self.path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(f"cannot be read: {error.strerror}") from None
        except (ValueError, ValidationError) as error:
            reason = " ".join(str(error).split())[:200]
            raise self._unusable(f"is not {self.whose}'s journal: {reason}") from None

    def save(self, journal: J) -> None:
        """Replace the file whole: after a crash at any point it holds the old journal or the new one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(self.path.name + ".new")
        with temporary.open("w", encoding="utf-8") as file:
            file.write(journal.model_dump_json(indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self.path)  # noqa: PTH105 - the one call that makes it so
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lock, which ends with the process. Raises the operation's own error where another one has it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = self.path.with_name(self.path.name + ".lock")
        try:
            with FileLock(lock, timeout=0, fallback_to_soft=False):
                yield
        except Timeout:
            raise self._busy(f"is under way; find it with: fuser -v {lock}") from None

    @abstractmethod
    def _busy(self, rest: str) -> Exception:
        """Return the error that says that another operation has the lock; ``rest`` ends its sentence."""

    @abstractmethod
    def _remedy(self) -> str:
        """Return what to do about a file that cannot be read."""

    def _unusable(self, reason: str) -> InputError:
        return InputError(str(self.path), [Problem(self.path.name, None, reason, self._remedy())])
