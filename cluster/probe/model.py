"""What nodes said of themselves and of their way to others, read from what a play told; nothing is judged here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Interface:
    """A network interface with an address; ``own``: the one that other nodes find the node at. ``mtu`` in bytes."""

    name: str
    mac: str
    mtu: int
    up: bool
    addresses: tuple[str, ...]
    own: bool


@dataclass(frozen=True)
class Disk:
    """A file system; ``free_inodes`` is None where it has no limit of them."""

    path: str
    device: int
    free_mib: int
    size_mib: int
    free_inodes: int | None


@dataclass(frozen=True)
class Facts:
    """A node; a fact that could not be had is None, and ``unknown`` says why. Names and places: value or error."""

    hostname: str | None = None
    machine_id: str | None = None
    product_uuid: str | None = None
    memory_mib: int | None = None
    cores: int | None = None
    swap: tuple[str, ...] | None = None
    cgroup: int | None = None
    controllers: tuple[str, ...] = ()
    disks: tuple[Disk, ...] | None = None
    modules: Mapping[str, str] = field(default_factory=dict)
    sysctl: Mapping[str, int | None] = field(default_factory=dict)
    interfaces: tuple[Interface, ...] | None = None
    gateway: str | None = None
    synchronised: str | None = None
    names: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    reach: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)

    @property
    def own(self) -> Interface | None:
        """The interface that other nodes find this node at."""
        return next((each for each in self.interfaces or () if each.own), None)


@dataclass(frozen=True)
class Taken:
    """A port that something has already; ``by``: names of programs, none where it is the kernel."""

    port: str
    by: tuple[str, ...]


@dataclass(frozen=True)
class Listening:
    """Which ports a listener of ours was on, and which were taken. Ports as ``6443/tcp``."""

    bound: frozenset[str] = frozenset()
    taken: tuple[Taken, ...] = ()


@dataclass(frozen=True)
class Pair:
    """The way from one node to another. ``ping``, ``full``: None where it got through, else why not.

    ``largest``: bytes of the largest packet that did, where a full one did not. ``ports``: ``6443/tcp`` -> ok (the
    other node's listener answered), open (something answered), refused, timeout, ``other NAME``, or the error.
    ``ahead_s``: by how many seconds the other's clock is ahead, give or take ``error_s``.
    """

    ping: str | None = None
    ping_ms: float | None = None
    full: str | None = None
    largest: int | None = None
    ports: Mapping[str, str] = field(default_factory=dict)
    ahead_s: float | None = None
    error_s: float = 0.0
    mbps: float | None = None
    transfer_error: str | None = None


@dataclass(frozen=True)
class PodProbe:
    """Asked from a pod of a node, or from the node (``origin`` is ``node``): ``pods``: address -> None, or why not."""

    origin: str
    pods: Mapping[str, str | None] = field(default_factory=dict)
    services: Mapping[str, str] = field(default_factory=dict)
    dns: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Node:
    """All that a node said; a part is None where the play did not get that far on it.

    ``ahead_s``: between which seconds its clock is ahead of the controller's.
    """

    name: str
    facts: Facts | None = None
    listening: Listening | None = None
    ahead_s: tuple[float, float] | None = None
    pairs: Mapping[str, Pair] | None = None
    others: Mapping[str, str | None] = field(default_factory=dict)
    pods: PodProbe | None = None


def nodes(told: Mapping[str, Mapping[str, Any]]) -> dict[str, Node]:
    """Return the nodes of what a play told by host."""
    return {name: _node(name, said) for name, said in told.items()}


def _node(name: str, said: Mapping[str, Any]) -> Node:
    facts, listening = said.get("facts"), said.get("listening")
    probe, pods, clock = said.get("probe"), said.get("pods"), said.get("clock")
    return Node(
        name,
        read_facts(facts) if facts else None,
        read_listening(listening) if listening else None,
        (clock["now"] - clock["received"], clock["now"] - clock["sent"]) if clock else None,
        {peer: read_pair(pair) for peer, pair in probe["pairs"].items()} if probe else None,
        {address: _error(ping) for address, ping in probe["others"].items()} if probe else {},
        read_pods(pods) if pods else None,
    )


def read_facts(raw: Mapping[str, Any]) -> Facts:
    """Return facts as ``cloud_node/facts.py`` says them."""
    simple = ("hostname", "machine_id", "product_uuid", "memory_mib", "cores", "gateway", "synchronised")
    given: dict[str, Any] = {key: raw.get(key) for key in simple}
    given |= {key: raw.get(key) or {} for key in ("modules", "sysctl", "names", "reach", "unknown")}
    cgroup, interfaces, disks, swap = (raw.get(key) for key in ("cgroup", "interfaces", "disks", "swap"))
    return Facts(
        **given,
        swap=None if swap is None else tuple(swap),
        cgroup=cgroup["version"] if cgroup else None,
        controllers=tuple(cgroup["controllers"]) if cgroup else (),
        disks=None if disks is None else tuple(Disk(**each) for each in disks),
        interfaces=None if interfaces is None else tuple(_interface(each) for each in interfaces),
    )


def _interface(raw: Mapping[str, Any]) -> Interface:
    return Interface(raw["name"], raw["mac"], raw["mtu"], raw["up"], tuple(raw["addresses"]), raw["own"])


def read_listening(raw: Mapping[str, Any]) -> Listening:
    """Return what ``cloud_node/listen.py`` says."""
    return Listening(
        frozenset(f"{each['port']}/{each['protocol']}" for each in raw["bound"]),
        tuple(Taken(f"{each['port']}/{each['protocol']}", tuple(each["by"])) for each in raw["taken"]),
    )


def read_pair(raw: Mapping[str, Any]) -> Pair:
    """Return a pair as ``cloud_node/probe.py`` says it."""
    clock = raw.get("clock") or {}
    return Pair(
        _error(raw["ping"]),
        raw["ping"].get("ms"),
        _error(raw["full"]),
        raw.get("largest"),
        dict(raw["ports"]),
        clock.get("offset_s"),
        clock.get("error_s", 0.0),
        raw.get("mbps"),
        raw.get("transfer_error"),
    )


def read_pods(raw: Mapping[str, Any]) -> PodProbe:
    """Return what ``cloud_node/pods.py`` says."""
    pods = {address: _error(ping) for address, ping in raw["pods"].items()}
    return PodProbe(raw["from"], pods, dict(raw["services"]), raw.get("dns"))


def _error(raw: Mapping[str, Any]) -> str | None:
    return raw.get("error")
