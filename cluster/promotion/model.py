"""The values of a promotion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Mode = Literal["share", "swap"]
"""share: both versions run, and requests move from one to the other; swap: one goes, the other comes."""

Kind = Literal["promote", "rollback"]


class PromotionError(Exception):
    """What was asked for is not done; the message says why, what stands now, and what to do."""


@dataclass(frozen=True)
class Version:
    """A version of a registered model: MLflow's number, where its files lie, and its manifest's digest ("": none)."""

    model: str
    number: str
    source: str
    digest: str

    def __str__(self) -> str:
        return f"{self.model} {self.number}"


@dataclass(frozen=True)
class Sample:
    """An answer: how long it took in milliseconds, and whether it was one."""

    ms: float
    ok: bool


class Gate(BaseModel):
    """What a version has to keep to.

    ``samples``: answers that are measured of each version. ``ratio`` and ``slack_ms``: its P95 may be that many times
    the running version's, and that much more. ``errors``: share of requests that may fail, above the running version's.
    ``share``: percent of real requests that it gets before it gets all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    samples: Annotated[int, Field(ge=20, le=100_000)] = 200
    ratio: Annotated[float, Field(ge=1, le=100)] = 1.2
    slack_ms: Annotated[float, Field(ge=0, le=60_000)] = 5.0
    errors: Annotated[float, Field(ge=0, le=1)] = 0.0
    share: Annotated[int, Field(ge=1, le=99)] = 20


@dataclass(frozen=True)
class Period:
    """When a version served: ``since`` and ``until`` in UTC, ISO 8601 ("": not known, or not over), and by whom.

    ``taken_back``: a rollback left the version, which was not promoted again since.
    """

    version: str
    since: str
    until: str
    by: str
    taken_back: bool = False


@dataclass(frozen=True)
class Outcome:
    """``promoted`` is False where all is as before; ``failed`` says why then.

    ``settled`` is False where neither is so: what runs is not known, and the promotion is still open. ``kind``: what
    the operation was that ended; a rollback may have taken a promotion back.
    """

    promoted: bool
    version: str
    before: str | None
    mode: Mode
    failed: str | None = None
    kind: Kind = "promote"
    settled: bool = True

    @property
    def back(self) -> bool:
        """Whether a version is back in service: by a rollback, or as an unfinished promotion was taken back."""
        return self.settled and (self.promoted or self.kind == "promote")


class UnsettledError(PromotionError):
    """A version was given up, and the one before could not be brought back."""

    def __init__(self, text: str, outcome: Outcome) -> None:
        super().__init__(text)
        self.outcome = outcome
