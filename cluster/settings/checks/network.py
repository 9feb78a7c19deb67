"""The network: ranges that must not overlap, addresses that must lie inside, and what several hosts need."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from itertools import combinations

from cluster.problems import Problem
from cluster.settings.draft import Draft, Part
from cluster.settings.model import Network

_SMALLEST = 28
_FREE = {
    "cidr": ("192.168.200.0/24", "192.168.210.0/24", "10.20.0.0/24"),
    "pods": ("10.233.64.0/18", "10.244.0.0/16", "172.20.0.0/16"),
    "services": ("10.233.0.0/18", "10.96.0.0/16", "172.21.0.0/16"),
}


def check(draft: Draft) -> Iterator[Problem]:
    """Yield the problems of the network section."""
    network = draft.network
    if network is None:
        return
    yield from _overlaps(network)
    yield from _bridge(network)
    if draft.hosts.whole and len(draft.hosts.items) > 1 and network.has("mode") and network.value.mode == "nat":
        reason = f"cannot join {len(draft.hosts.items)} hosts: VMs on two nat networks do not reach each other"
        yield Problem(
            "network.mode", "nat", reason, "write network.mode: bridge and network.bridge: NAME on every host"
        )
    if network.has("cidr"):
        yield from _subnet(draft, network, network.value.cidr)


def _overlaps(network: Part[Network]) -> Iterator[Problem]:
    ranges = {key: getattr(network.value, key) for key in ("cidr", "pods", "services") if network.has(key)}
    for first, second in combinations(ranges, 2):
        if ranges[first].overlaps(ranges[second]):
            others = [IPv4Network(value) for key, value in ranges.items() if key != second]
            free = next(
                (text for text in _FREE[second] if not any(IPv4Network(text).overlaps(other) for other in others)), None
            )
            remedy = f"write for example network.{second}: {free}" if free else "choose ranges that share no address"
            reason = f"overlaps network.{first} {ranges[first]}"
            yield Problem(f"network.{second}", str(ranges[second]), reason, remedy)


def _bridge(network: Part[Network]) -> Iterator[Problem]:
    if not network.has("mode", "bridge"):
        return
    mode, bridge = network.value.mode, network.value.bridge
    if mode == "bridge" and not bridge:
        remedy = "name a bridge that exists on every host, for example network.bridge: br0"
        yield Problem("network.bridge", None, "is missing, and network.mode is bridge", remedy)
    if mode == "nat" and bridge:
        remedy = "write network.mode: bridge, or take network.bridge out"
        yield Problem("network.bridge", bridge, "is not used: network.mode is nat", remedy)


def _subnet(draft: Draft, network: Part[Network], cidr: IPv4Network) -> Iterator[Problem]:
    if cidr.prefixlen > _SMALLEST:
        remedy = f"write {cidr.supernet(new_prefix=24)} or larger"
        yield Problem("network.cidr", str(cidr), "is too small for a cluster", remedy)
    if network.has("gateway") and (problem := outside("network.gateway", network.value.gateway, cidr)):
        yield problem
    elif network.has("gateway", "mode") and network.value.mode == "nat" and cidr.num_addresses > 2:
        first = cidr.network_address + 1
        if network.value.gateway != first:
            reason = f"is not {first}, where libvirt's own network has its router"
            remedy = f"leave it out, or write network.gateway: {first}; another router needs network.mode: bridge"
            yield Problem("network.gateway", str(network.value.gateway), reason, remedy)
    if network.has("api_address") and network.value.api_address is not None:
        address = network.value.api_address
        if problem := outside("network.api_address", address, cidr):
            yield problem
        elif network.has("gateway") and address == network.value.gateway:
            remedy = "write an address that nothing else has"
            yield Problem("network.api_address", str(address), "is the gateway's address", remedy)


def outside(path: str, address: IPv4Address, cidr: IPv4Network) -> Problem | None:
    """Return the problem of an address that a machine of the subnet cannot have, or None."""
    example = f"write an address between {cidr.network_address + 1} and {cidr.broadcast_address - 1}"
    if address not in cidr:
        remedy = example if cidr.num_addresses > 2 else "enlarge network.cidr"
        return Problem(path, str(address), f"is outside network.cidr {cidr}", remedy)
    if cidr.num_addresses <= 2:
        return None  # the range itself is refused as too small
    if address == cidr.network_address:
        return Problem(path, str(address), f"is the network address of {cidr}", example)
    if address == cidr.broadcast_address:
        return Problem(path, str(address), f"is the broadcast address of {cidr}", example)
    return None
