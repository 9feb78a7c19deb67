"""What a promotion remembers, so that a killed one goes on: a JSON file for each model, replaced whole."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from cluster import journal
from cluster.promotion.model import Gate, Kind, Mode, PromotionError


class Journal(BaseModel):
    """A promotion or a rollback.

    ``version``, ``before``: MLflow's numbers (before is None where nothing served). ``begun`` holds the steps that were
    begun, ``done`` those that are through. ``state``: open while it goes on, undoing once it failed (``failed`` says
    why) and is being taken back, and closed. ``registry``: the URL of the MLflow that it began with. ``gap``:
    whether a restart leaves the service without a pod.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    kind: Kind
    mode: Mode
    version: str
    before: str | None
    by: str
    started: str
    gate: Gate
    registry: str = ""
    gap: bool = True
    begun: tuple[str, ...] = ()
    done: tuple[str, ...] = ()
    running_ms: tuple[float, ...] = ()
    failed: str | None = None
    state: Literal["open", "undoing", "closed"] = "open"


class JournalFile(journal.JournalFile[Journal]):
    """``.cloud/<stack>/promotions/<model>.json``; a lock that another promotion has raises PromotionError."""

    kind = Journal
    whose = "a promotion"

    def _busy(self, rest: str) -> PromotionError:
        return PromotionError(f"another promotion of this model {rest}")

    def _remedy(self) -> str:
        return f"see what serves (cloudctl models history), then move it away: mv {self.path} {self.path}.broken"
