"""Which node gets what done, in which order; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from cluster.drivers.model import DriverPod, Node

Do = Literal["change", "check", "release", "skip"]


@dataclass(frozen=True)
class Turn:
    """One node's turn. ``change``: another driver; ``check``: it has the driver, CUDA was not seen to work with it;
    ``release``: all is done but that pods may come again; ``skip``: nothing is left to do."""

    node: str
    do: Do


def turns(
    version: str,
    names: list[str],
    nodes: Mapping[str, Node],
    pods: Mapping[str, DriverPod],
    checked: Mapping[str, str],
    *,
    unchanged: Collection[str] = (),
) -> list[Turn]:
    """Return the turns that bring nodes to a driver version, nodes that are held already first: there must never be a
    second one out of service.

    ``unchanged``: nodes whose CUDA is as it was before the rollout, if they have the version. They are not checked, for
    that might cost models their cards.
    """
    held_first = sorted(names, key=lambda name: nodes[name].held is None)
    return [
        Turn(name, _do(version, nodes[name], pods.get(name), name in unchanged or checked.get(name) == version))
        for name in held_first
    ]


def _do(version: str, node: Node, pod: DriverPod | None, known: bool) -> Do:
    if pod is None or pod.leaving or pod.version != version:
        return "change"
    if not known:
        return "check"
    return "skip" if node.held is None else "release"


def earlier(wanted: str, running: Mapping[str, str], good: str | None) -> str | None:
    """Return the driver to go back to: of those that run now (node -> version) the one that was last seen to be good,
    else the one that most nodes have; else the good one; None where there is no other than the wanted."""
    others = [version for version in running.values() if version != wanted]
    if good and good != wanted and (good in others or not others):
        return good
    return max(sorted(set(others)), key=others.count, default=None)
