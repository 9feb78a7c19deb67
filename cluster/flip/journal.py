"""What a flip remembers: how far it is, and what it must put back. A JSON file, replaced whole; one flip at a time.

Where VMs, devices and leases are is always asked of the host, never read from here. The journal holds what the host
cannot tell: who was set to start with it, which services and nodes we took out, which flip was begun.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cluster.flip.model import FlipError, Target
from cluster.problems import InputError, Problem


class Part(BaseModel):
    """Base of what the file holds: frozen, and nothing unknown in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Done(Part):
    """A step that is through: its id, when (UTC, ISO 8601), how many seconds it took, a remark or nothing."""

    step: str
    at: str
    seconds: float
    remark: str = ""


class Identity(Part):
    """What a card was when it was last seen in order: ``vendor:device`` of each function that moves with it."""

    functions: dict[str, str]


class Restore(Part):
    """What was there before, to be put back when its side gets the GPUs again. Written before anything is changed.

    ``autostart``: VMs (``host/name``) that started with their host. ``cordoned``: nodes that took pods. ``stopped``:
    services that ran, and whether they were ready. ``resume``: HPC VMs that have to be given work again.
    """

    autostart: tuple[str, ...] = ()
    cordoned: tuple[str, ...] = ()
    stopped: dict[str, bool] = {}
    resume: tuple[str, ...] = ()


class Journal(Part):
    """A flip.

    ``begun``: steps that a run began and was cut off in, the latest last: each may have done its work, or not.
    ``failed`` says why the last run gave up, if it did.
    ``asked``: VMs that were told to shut down and not seen off since.
    """

    version: Literal[1] = 1
    target: Target
    open: Annotated[bool, Field(description="begun and not finished")] = True
    started: str
    begun: tuple[str, ...] = ()
    failed: str | None = None
    done: tuple[Done, ...] = ()
    asked: tuple[str, ...] = ()
    restore: Restore = Restore()
    cards: dict[str, Identity] = {}

    def has_done(self, step: str) -> bool:
        """Whether a step of this flip is through."""
        return self.open and any(each.step == step for each in self.done)


def now() -> str:
    """Return the time as the journal says it: UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def begun(before: Journal | None, target: Target) -> Journal:
    """Return the journal to go on with: an open one of the same target, or a new one that keeps what is to restore."""
    if before is not None and before.open and before.target == target:
        return before
    if before is None:
        return Journal(target=target, started=now())
    return Journal(
        target=target, started=now(), begun=before.begun, asked=before.asked, restore=before.restore, cards=before.cards
    )


class JournalFile:
    """The file ``flip.json`` of a stack; ``lock`` keeps a second flip out for as long as the first one lives."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> Journal | None:
        """Return the journal, or None where nothing was ever flipped. Raises InputError where it cannot be read."""
        try:
            return Journal.model_validate(json.loads(self.path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(f"cannot be read: {error.strerror}") from None
        except (ValueError, ValidationError) as error:
            reason = " ".join(str(error).split())[:200]
            raise self._unusable(f"is not a flip's journal: {reason}") from None

    def save(self, journal: Journal) -> None:
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
        """Hold the flip's lock, which ends with the process. Raises FlipError where another flip is under way."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = self.path.with_name(self.path.name + ".lock")
        try:
            with FileLock(lock, timeout=0, fallback_to_soft=False):
                yield
        except Timeout:
            raise FlipError(f"another flip of this stack is under way; find it with: fuser -v {lock}") from None

    def _unusable(self, reason: str) -> InputError:
        remedy = (
            "it was left as it is; restore it from a backup, or move it away and switch VMs to start with their host"
            f" again by hand: mv {self.path} {self.path}.broken"
        )
        return InputError(str(self.path), [Problem(self.path.name, None, reason, remedy)])
