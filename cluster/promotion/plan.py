"""Which steps bring a version into service, and whether both versions can run beside each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cluster.promotion.model import Mode

Step = Literal[
    "verify", "baseline", "deploy", "smoke", "gate", "share", "watch", "all", "alias", "restart", "confirm", "settle",
    "record",
]  # fmt: skip

TEXTS: dict[Step, str] = {
    "verify": "check the version's files against its manifest's digest",
    "baseline": "measure the version that runs",
    "deploy": "start the version beside the running one; it gets no requests",
    "smoke": "ask it once",
    "gate": "measure it against the running version",
    "share": "send it a part of the requests",
    "watch": "measure it again, under that part",
    "all": "send it all requests",
    "alias": "let the alias in MLflow name it",
    "restart": "restart the service, which loads what the alias names",
    "confirm": "ask the service once",
    "settle": "send all requests to the service, and end the other one",
    "record": "write down in MLflow which version served until when",
}

_SHARE: tuple[Step, ...] = (
    "verify", "deploy", "smoke", "gate", "share", "watch", "all", "alias", "restart", "confirm", "settle", "record",
)  # fmt: skip
_SWAP: tuple[Step, ...] = ("verify", "baseline", "alias", "restart", "confirm", "gate", "settle", "record")
_BACK: tuple[Step, ...] = ("alias", "restart", "confirm", "settle", "record")


@dataclass(frozen=True)
class Capacity:
    """GPUs that a replica takes, and that nobody has (None: nobody can tell); ``running``: whether a version serves."""

    gpus: int
    free_gpus: int | None
    running: bool


def mode_for(capacity: Capacity, wished: Mode | None = None) -> Mode:
    """Return how a version comes: beside the running one where its GPUs are free, else in its place.

    A version on the CPU shares: Kubernetes finds room for one more small pod, or the deployment is given up and nothing
    has changed. Where GPUs cannot be counted, swap is sure to fit. ``wished`` wins where it is possible at all.
    """
    if not capacity.running:
        return "swap"  # there is nobody to share with
    if wished is not None:
        return wished
    if capacity.gpus == 0:
        return "share"
    return "share" if capacity.free_gpus is not None and capacity.free_gpus >= capacity.gpus else "swap"


def steps(mode: Mode) -> tuple[Step, ...]:
    """Return the steps of a promotion, in order; each can be done again without harm."""
    return _SHARE if mode == "share" else _SWAP


def rollback_steps() -> tuple[Step, ...]:
    """Return the steps back to a version that served before: without a gate, because it was in service."""
    return _BACK
