"""The data of ``cloudctl flip``: where each GPU is, which mode that makes, and what a flip has left to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cluster.flip import commands
from cluster.flip.journal import Journal
from cluster.flip.mode import missing, mode, mode_of
from cluster.flip.model import TAKER, Card, FlipError, Scene, Side
from cluster.flip.plan import Plan, Planner


def planned(stack: str, scene: Scene, plan: Plan) -> dict[str, Any]:
    """Return a plan as data."""
    return {
        "stack": stack,
        "target": plan.target,
        "mode": mode(scene),
        "steps": [
            {"kind": step.kind, "subject": step.subject, "text": step.text, "commands": commands.text(step.commands)}
            for step in plan.steps
        ],
        "remarks": list(plan.remarks),
    }


def carried_out(stack: str, journal: Journal, plan: Plan) -> dict[str, Any]:
    """Return a flip that is through as data; the steps are those of all its runs."""
    return {
        "stack": stack,
        "target": journal.target,
        "mode": mode_of(journal.target),
        "steps": [step.model_dump() for step in journal.done],
        "remarks": list(plan.remarks),
    }


def status(stack: str, scene: Scene, journal: Journal | None, planner: Planner) -> dict[str, Any]:
    """Return where a stack stands between its two modes."""
    problems = [*_problems(scene)]
    left: list[str] | None = []
    if journal and journal.open:
        try:
            left = [step.text for step in planner.plan(scene, journal.target, journal).steps]
        except FlipError as error:
            left = None
            problems.append(f"the flip that was begun cannot go on: {error}")
    return {
        "stack": stack,
        "mode": mode(scene),
        "gpus": [_row(scene, card) for card in scene.cards],
        "flip": _flip(journal, left) if journal else None,
        "problems": problems,
        "remarks": list(scene.remarks),
    }


def _flip(journal: Journal, left: list[str] | None) -> dict[str, Any]:
    return {
        "target": journal.target,
        "open": journal.open,
        "started": journal.started,
        "cut_off_in": journal.begun[-1] if journal.begun else None,
        "failed": journal.failed,
        "done": [step.model_dump() for step in journal.done],
        "left": left,
        "to_restore": journal.restore.model_dump(),
    }


def _row(scene: Scene, card: Card) -> dict[str, Any]:
    view = scene.views[card.host]
    device = view.devices.get(card.address)
    return {
        "host": card.host,
        "address": card.address,
        "driver": device.driver if device else None,
        "there": device is not None,
        "held_by": view.holder(card.address),
        "lease": " ".join(card.lease) if card.lease else None,
        "cloud": _vms(scene, card, "cloud"),
        "hpc": _vms(scene, card, "hpc"),
        "to_serve": missing(scene, card, "serve"),
        "to_train": missing(scene, card, "train"),
    }


def _vms(scene: Scene, card: Card, side: Side) -> list[dict[str, Any]]:
    return [{"name": vm.name, "state": vm.state, "autostart": vm.autostart} for vm in scene.holders(card, side)]


def _problems(scene: Scene) -> Iterator[str]:
    if not scene.cards:
        yield f"no GPU is defined both by a VM of {scene.owner} and by one of {scene.hpc}: there is nothing to flip"
    for card in scene.cards:
        if card.address not in scene.views[card.host].devices:
            yield f"GPU {card.key} is not on the PCI bus"
        side = scene.side_of(card)
        for target, taker in TAKER.items():
            for vm in scene.holders(card, taker):
                if vm.autostart and side not in (taker, None):
                    other = "train" if target == "serve" else "serve"
                    yield (
                        f"{vm.name} starts with {card.host}, where the other side has GPU {card.address}; put it right"
                        f" with: cloudctl flip {other}"
                    )
