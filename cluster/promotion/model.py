"""The values of a promotion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Mode = Literal["share", "swap"]
"""share: both versions run, and requests move from one to the other; swap: one goes, the other comes."""


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
