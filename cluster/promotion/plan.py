"""Which steps bring a version into service, whether both versions can run beside each other, where a rollback goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cluster.promotion.model import Mode, Period, PromotionError, Version

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
    """GPUs that a replica takes, and that nobody has (None: nobody can tell); whether a version serves, by how many
    pods."""

    gpus: int
    free_gpus: int | None
    running: bool
    replicas: int = 1

    @property
    def gap(self) -> bool:
        """Whether the service has no pod for a while when it is restarted: the only one has to free its GPU first."""
        return self.gpus > 0 and self.replicas < 2


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


def steps(mode: Mode, gap: bool = True) -> tuple[Step, ...]:
    """Return the steps of a promotion, in order; each can be done again without harm.

    The candidate is one pod: it gets all requests only where it stands in for one, and a service that always has pods
    keeps its part.
    """
    found = _SHARE if mode == "share" else _SWAP
    return found if gap else tuple(step for step in found if step != "all")


def rollback_steps() -> tuple[Step, ...]:
    """Return the steps back to a version that served before: without a gate, because it was in service."""
    return _BACK


def target(history: Sequence[Period], current: Version | None, number: str | None) -> str:
    """Return the version that a rollback goes to: the one named, else the last that served before and was not left by
    a rollback. Raises PromotionError where there is none.
    """
    serves = current.number if current else None
    served = [each for each in history if each.version != serves]
    if number is not None:
        if number == serves:
            raise PromotionError(f"{current} serves already; who served when: cloudctl models history")
        if number not in {each.version for each in served}:
            raise PromotionError(f"version {number} never served; try it first: cloudctl models promote")
        return number
    if whole := [each.version for each in served if not each.taken_back]:
        return whole[-1]
    if served:
        known = ", ".join(sorted({each.version for each in served}, key=int))
        raise PromotionError(f"no other version has served before that was not taken back; name one that has: {known}")
    raise PromotionError("no other version has served before; bring one: cloudctl models promote")
