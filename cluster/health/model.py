"""What is asked of a service, what came back, and what is made of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Kind = Literal["object-store", "database", "mlflow", "model"]

State = Literal["up", "degraded", "down", "not-asked", "stopped", "rehearsed"]
"""degraded: the model does not answer, and its standby on the CPU does, in its name; not-asked: there was no way to, so
that nobody can tell; stopped: on purpose; rehearsed: there is nothing to ask."""


@dataclass(frozen=True)
class Answer:
    """What came of one question. ``code``: HTTP status, or 200 where a query gave its row; ``error``: why none came."""

    asked: str
    latency_ms: float
    code: int | None = None
    body: str = ""
    error: str = ""


@dataclass(frozen=True)
class Check:
    """A service's state: ``latency_ms`` of its answer, what was asked, and why it is not up."""

    name: str
    kind: Kind
    state: State
    latency_ms: float | None
    asked: str
    reason: str

    def row(self) -> dict[str, object]:
        """Return the check as ``--json`` shows it; ``ok`` is null where nobody was asked."""
        asked = self.state in ("up", "degraded", "down")
        return asdict(self) | {"ok": self.state == "up" if asked else None}
