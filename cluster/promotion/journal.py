"""What a promotion remembers, so that a killed one goes on: a JSON file for each model, replaced whole."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from cluster.problems import InputError, Problem
from cluster.promotion.model import Gate, Mode, PromotionError


class Journal(BaseModel):
    """A promotion or a rollback.

    ``version``, ``before``: MLflow's numbers (before is None where nothing served). ``begun`` holds the steps that were
    begun, ``done`` those that are through. ``state``: open while it goes on, undoing once it failed (``failed`` says
    why) and is being taken back, and closed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    kind: Literal["promote", "rollback"]
    mode: Mode
    version: str
    before: str | None
    by: str
    started: str
    gate: Gate
    begun: tuple[str, ...] = ()
    done: tuple[str, ...] = ()
    running_ms: tuple[float, ...] = ()
    failed: str | None = None
    state: Literal["open", "undoing", "closed"] = "open"


def now() -> str:
    """Return the time as journal and history say it: UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class JournalFile:
    """``.cloud/<stack>/promotions/<model>.json``; ``lock`` keeps a second promotion of the model out."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> Journal | None:
        """Return the journal, or None where nothing was ever promoted. Raises InputError where it cannot be read."""
        try:
            return Journal.model_validate(json.loads(self.path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, ValidationError) as error:
            reason = "is not a promotion's journal: " + " ".join(str(error).split())[:200]
            remedy = f"see what serves (cloudctl models history), then move it away: mv {self.path} {self.path}.broken"
            raise InputError(str(self.path), [Problem(self.path.name, None, reason, remedy)]) from None

    def save(self, journal: Journal) -> None:
        """Replace the file whole: after a crash at any point it holds the old journal or the new one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_name(self.path.name + ".new")
        with new.open("w", encoding="utf-8") as file:
            file.write(journal.model_dump_json(indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the model's lock, which ends with the process. Raises PromotionError where another one has it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = self.path.with_name(self.path.name + ".lock")
        try:
            with FileLock(lock, timeout=0, fallback_to_soft=False):
                yield
        except Timeout:
            raise PromotionError(
                f"another promotion of this model is under way; find it with: fuser -v {lock}"
            ) from None
