"""The ways between nodes: reach, packet size, ports and clocks; one cause is told once, not for every pair."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from cluster.preflight.limits import Limits
from cluster.probe.model import Node, Pair
from cluster.probe.ports import Port
from cluster.report import Problem

SHOWN = 4
"""Nodes that a problem names before it counts the rest."""

GOOD = ("ok", "open")


def judge(nodes: Mapping[str, Node], ports: Sequence[Port], limits: Limits) -> Iterator[Problem]:
    """Yield what is wrong between nodes that were asked; a node that could not be asked is told elsewhere."""
    pairs = {
        (name, peer): pair
        for name, node in nodes.items()
        for peer, pair in (node.pairs or {}).items()
        if peer in nodes and nodes[peer].listening is not None
    }
    cut = {each for each, pair in pairs.items() if lost(pair)}
    found: dict[tuple[str, str, str, str, str, str], list[str]] = defaultdict(list)
    for (source, target), pair in pairs.items():
        for problem in [_cut(target)] if (source, target) in cut else _way(nodes, source, target, pair, ports, limits):
            found[(target, *problem)].append(source)
    for (target, *words), sources in found.items():
        what, shown, wanted, remedy, severity = words
        where = f"{_few(sorted(sources))} -> {target}"
        yield Problem(where, what, shown, wanted, remedy, "warning" if severity == "warning" else "error")
    yield from _clocks(nodes, pairs, limits)


def lost(pair: Pair) -> bool:
    """Whether nothing at all gets through."""
    return pair.ping is not None and all(
        said not in GOOD and not said.startswith("other") for said in pair.ports.values()
    )


_Words = tuple[str, str, str, str, str]
"""What, found, wanted, remedy, severity."""


def _cut(target: str) -> _Words:
    remedy = (
        f"cloudctl net check names the first hop that is broken; on {target}: ip address, ip route, nft list ruleset"
    )
    return "way", "neither ping nor any port gets through", "both", remedy, "error"


def _way(
    nodes: Mapping[str, Node], source: str, target: str, pair: Pair, ports: Sequence[Port], limits: Limits
) -> Iterator[_Words]:
    use = {port.key: port.use for port in ports}
    listening = nodes[target].listening
    taken = {each.port for each in listening.taken} if listening else set()
    for port, said in pair.ports.items():
        if said.startswith("other "):
            remedy = "two nodes have one address: ip neigh, arping -D; each needs its own machines[].address"
            yield "address", f"{said.partition(' ')[2]} answers there", target, remedy, "error"
        elif said not in GOOD and not (port in taken and port.endswith("/udp")):  # the kernel's VXLAN has no echo
            number, _, protocol = port.partition("/")
            remedy = (
                f"a firewall on {target}, or on the host between them: nft list ruleset, iptables -S, ufw status;"
                f" let {protocol} {number} through between the nodes"
            )
            yield f"port {port} ({use.get(port, 'needed')})", said, "a connection", remedy, "error"
    if pair.ping is not None:
        remedy = "packet size could not be measured; let ICMP through: without it, too large packets get lost unnoticed"
        yield "ping", pair.ping, "an answer", remedy, "warning"
    elif pair.full is not None and not _known_small(nodes, (source, target), limits):
        found = f"packets of {pair.largest} bytes pass at most" if pair.largest else "large packets do not pass"
        remedy = (
            "a link, bridge or tunnel between them carries less: set network.mtu to what passes, or raise its mtu;"
            " each hop: ip link"
        )
        yield "mtu", found, f"{limits.mtu} bytes", remedy, "error"


def _known_small(nodes: Mapping[str, Node], ends: tuple[str, str], limits: Limits) -> bool:
    """Whether an end's own interface is the cause, which is told of that node."""
    owns = [facts.own for each in ends if (facts := nodes[each].facts)]
    return any(own is not None and own.mtu < limits.mtu for own in owns)


_CLOCK = "start its time synchronisation: timedatectl set-ntp true; certificates and etcd go by the clock"


def _clocks(nodes: Mapping[str, Node], pairs: Mapping[tuple[str, str], Pair], limits: Limits) -> Iterator[Problem]:
    """Against the machine that runs us first; between two nodes only where that tells of neither."""
    wrong = set()
    for name, node in nodes.items():
        if node.ahead_s is None:
            continue
        least, most = node.ahead_s
        if least > limits.skew_s or most < -limits.skew_s:
            wrong.add(name)
            found = f"{_seconds((least + most) / 2)} the machine that runs this"
            yield Problem(name, "clock", found, f"within {limits.skew_s:g} s", _CLOCK)
    told = set()
    for (source, target), pair in pairs.items():
        if pair.ahead_s is None or wrong & {source, target} or frozenset((source, target)) in told:
            continue
        if abs(pair.ahead_s) - pair.error_s > limits.skew_s:
            told.add(frozenset((source, target)))
            found = f"{target} is {_seconds(pair.ahead_s)} {source}"
            yield Problem(f"{source} -> {target}", "clock", found, f"within {limits.skew_s:g} s", _CLOCK)


def _seconds(ahead: float) -> str:
    return f"{abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'}"


def _few(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:SHOWN])} and {more} more"
