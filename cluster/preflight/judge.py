"""All nodes judged: a pure function from what they said to every problem of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from cluster.preflight import clashes, node, ways
from cluster.preflight.limits import Limits
from cluster.probe.model import Node
from cluster.probe.ports import needed
from cluster.report import Problem
from cluster.settings.model import Settings


def judge(settings: Settings, nodes: Mapping[str, Node], failed: Iterable[str], limits: Limits) -> Iterator[Problem]:
    """Yield every problem of the nodes that answered, and of those that neither answered nor are in ``failed``."""
    addresses = {machine.name: str(machine.address) for machine in settings.machines}
    failed = set(failed)
    for machine in settings.machines:
        said = nodes.get(machine.name)
        if said is None or said.facts is None:
            if machine.name not in failed:
                remedy = "is it in the inventory? .cloud/STACK/inventory/hosts.yaml; run pulumi up"
                yield Problem(machine.name, "access", "was not asked", "an answer", remedy)
            continue
        yield from node.judge(machine, said.facts, limits, addresses)
        if said.listening:
            yield from node.ports(machine, said.listening)
    yield from clashes.judge({name: each.facts for name, each in nodes.items() if each.facts}, limits)
    yield from ways.judge(nodes, needed(settings), limits)


def notes(nodes: Mapping[str, Node]) -> list[str]:
    """Return what could not be proved although nothing is wrong."""
    kernel = sorted(
        {each.port for node in nodes.values() if node.listening for each in node.listening.taken if not each.by}
    )
    return [f"the kernel has {port} already, so nobody could answer there: not proved" for port in kernel]
