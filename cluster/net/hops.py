"""The first hop that is broken on the way from one node to another, in the order in which packets meet them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cluster.check import pods
from cluster.check.model import Cluster
from cluster.preflight.ways import GOOD, lost
from cluster.probe.ask import host_addresses
from cluster.probe.model import Node, Pair
from cluster.settings.model import Settings


@dataclass(frozen=True)
class Way:
    """One way. ``hop``: the first that is broken (node, address, gateway, host, other node, port, mtu, pod network), or
    None; ``found``: what is wrong there. Milliseconds, megabits a second, bytes; None where it was not measured.
    """

    source: str
    target: str
    hop: str | None = None
    found: str = ""
    ping_ms: float | None = None
    mbps: float | None = None
    packet: int | None = None
    ports_open: int = 0
    ports: int = 0
    pods: bool | None = None


def ways(settings: Settings, nodes: Mapping[str, Node], probed: Mapping[str, Node], found: Cluster) -> Iterator[Way]:
    """Yield the way of every ordered pair of machines; ``nodes``: asked for ways, ``probed``: asked for pods."""
    where = pods.targets(found.pods or ())
    names = [machine.name for machine in settings.machines]
    for source in names:
        for target in names:
            if source != target:
                yield _way(settings, source, target, nodes, _pods(probed.get(source), target, where))


def _way(settings: Settings, source: str, target: str, nodes: Mapping[str, Node], through: str | None) -> Way:
    pair = (nodes[source].pairs or {}).get(target) if source in nodes else None
    broken = _first(settings, source, target, nodes, pair, through)
    hop, found = broken or (None, "")
    if pair is None:
        return Way(source, target, hop, found)
    return Way(
        source,
        target,
        hop,
        found,
        pair.ping_ms,
        pair.mbps,
        settings.network.mtu if pair.full is None else pair.largest,
        sum(_open(pair, port, nodes.get(target)) for port in pair.ports),
        len(pair.ports),
        None if through is None else not through,
    )


def _first(
    settings: Settings, source: str, target: str, nodes: Mapping[str, Node], pair: Pair | None, through: str | None
) -> tuple[str, str] | None:
    for name in (source, target):
        node = nodes.get(name)
        if node is None or node.facts is None:
            return "node", f"{name} cannot be asked"
        if node.facts.interfaces is not None and (node.facts.own is None or not node.facts.own.up):
            return "address", f"{name} has not got its address, or its interface is down"
    if pair is None or nodes[target].listening is None:
        return "node", f"{source if pair is None else target} could not be asked to the end"
    if lost(pair):
        return _before(settings, source, target, nodes[source]) or ("other node", f"{target} is not reached at all")
    shut = [port for port in pair.ports if not _open(pair, port, nodes[target])]
    if shut:
        return "port", ", ".join(f"{port} {pair.ports[port]}" for port in shut)
    if pair.ping is None and pair.full is not None:
        return "mtu", f"{pair.largest or 'few'} bytes pass at most, wanted {settings.network.mtu}"
    return ("pod network", through) if through else None


def _before(settings: Settings, source: str, target: str, node: Node) -> tuple[str, str] | None:
    """Return what is broken before the other node: the gateway, which on our own networks is the bridge; its host."""
    gateway = node.facts.gateway if node.facts else None
    if gateway and node.others.get(gateway) is not None:
        return "gateway", f"{source} does not reach {gateway}: {node.others[gateway]}"
    machines = {machine.name: machine for machine in settings.machines}
    here, there = (settings.host_of(machines[name]).name for name in (source, target))
    address = host_addresses(settings).get(there)
    if here != there and address and node.others.get(address) is not None:
        return "host", f"{source} does not reach {there} ({address}): {node.others[address]}"
    return None


def _open(pair: Pair, port: str, target: Node | None) -> bool:
    """Whether a port is open, or nobody could answer there because the kernel has it."""
    kernel = target and target.listening and any(each.port == port and not each.by for each in target.listening.taken)
    return pair.ports[port] in GOOD or bool(kernel and port.endswith("/udp"))


def _pods(node: Node | None, target: str, where: Mapping[str, str]) -> str | None:
    """Return what is wrong on the way to a node's pod; empty: nothing; None: it was not asked."""
    if node is None or node.pods is None:
        return None
    asked = [(address, error) for address, error in node.pods.pods.items() if where.get(address) == target]
    return next((f"pod {address}: {error}" for address, error in asked if error), "") if asked else None
