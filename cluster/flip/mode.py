"""Which side has the GPUs, from what is really so; the journal is not asked."""

from __future__ import annotations

from typing import Literal

from cluster.flip.model import GIVER, TAKER, Card, Scene, Side, Target

Mode = Literal["serving", "training", "in between"]

_MODES: dict[Target, Mode] = {"serve": "serving", "train": "training"}


def mode(scene: Scene) -> Mode:
    """Return the mode of the hosts; without any shared GPU that is in between."""
    targets: tuple[Target, Target] = ("serve", "train")
    for target in targets:
        if scene.cards and not any(missing(scene, card, target) for card in scene.cards):
            return _MODES[target]
    return "in between"


def mode_of(target: Target) -> Mode:
    """Return the mode that a flip ends in."""
    return _MODES[target]


def missing(scene: Scene, card: Card, target: Target) -> str | None:
    """Return what keeps a card from being where a target wants it, or None."""
    taker, giver = TAKER[target], GIVER[target]
    still = [vm for vm in scene.holders(card, giver) if vm.on]
    if still:
        return f"{still[0].name} is {still[0].state}"
    if scene.side_of(card) != taker:
        return f"its lease is with {' '.join(card.lease) if card.lease else 'nobody'}"
    return _taker_missing(scene, card, taker)


def _taker_missing(scene: Scene, card: Card, taker: Side) -> str | None:
    takers = scene.holders(card, taker)
    if not takers:
        # Nothing is defined that could run yet: for the cloud that is what pulumi up is for.
        return None if taker == "cloud" else f"no VM of {scene.hpc} defines it"
    running = [vm for vm in takers if vm.state == "running"]
    if not running:
        return f"{takers[0].name} is {takers[0].state}"
    view = scene.views.get(card.host)
    if view and view.holder(card.address) is None:
        return f"{running[0].name} runs without it"
    return None
