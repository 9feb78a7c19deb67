"""What a flip remembers: how far it is, and what it must put back. A JSON file, replaced whole; one flip at a time.

Where VMs, devices and leases are is always asked of the host, never read from here. The journal holds what the host
cannot tell: who was set to start with it, which services and nodes we took out, which flip was begun.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from cluster import journal
from cluster.flip.model import FlipError, Target
from cluster.journal import now


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
    """What a card was when it was last seen in order: ``vendor:device`` of each function that moves with it.

    ``driver``: what the GPU itself was bound to when a flip first saw it with no VM; None: nobody has seen that yet.
    """

    functions: dict[str, str]
    driver: str | None = None


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


def begun(before: Journal | None, target: Target) -> Journal:
    """Return the journal to go on with: an open one of the same target, or a new one that keeps what is to restore."""
    if before is not None and before.open and before.target == target:
        return before
    if before is None:
        return Journal(target=target, started=now())
    return Journal(
        target=target, started=now(), begun=before.begun, asked=before.asked, restore=before.restore, cards=before.cards
    )


class JournalFile(journal.JournalFile[Journal]):
    """The file ``flip.json`` of a stack; a lock that another flip has raises FlipError."""

    kind = Journal
    whose = "a flip"

    def restore(self, before: Journal | None) -> None:
        """Put back what stood there before a flip that did nothing."""
        if before is None:
            self.path.unlink(missing_ok=True)
        else:
            self.save(before)

    def _busy(self, rest: str) -> FlipError:
        return FlipError(f"another flip of this stack {rest}")

    def _remedy(self) -> str:
        return (
            "it was left as it is; restore it from a backup, or move it away and switch VMs to start with their host"
            f" again by hand: mv {self.path} {self.path}.broken"
        )
