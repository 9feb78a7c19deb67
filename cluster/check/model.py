"""A cluster as it told of itself, read from what a play told; nothing is judged here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class KubeNode:
    """A node as the API has it; ``why``: what it says of its being Ready or not; ``pause``: the name that it has
    for the image which holds a pod's network open, empty where it names none."""

    name: str
    ready: bool
    why: str
    version: str
    cordoned: bool
    pause: str = ""


@dataclass(frozen=True)
class Pod:
    """A pod; ``waiting``: reasons of containers that do not run, ``unschedulable``: why it has no node yet, ``app``:
    its label k8s-app, which says what of the system it is."""

    namespace: str
    name: str
    node: str
    phase: str
    ready: bool
    host_network: bool
    address: str
    waiting: tuple[str, ...] = ()
    why: str = ""
    unschedulable: str = ""
    going: bool = False
    app: str = ""

    @property
    def well(self) -> bool:
        """Whether it runs, or was only to run once and did."""
        return self.phase == "Succeeded" or (self.phase == "Running" and self.ready)


@dataclass(frozen=True)
class Service:
    """Where a service is found: its address in the cluster and its first port."""

    address: str
    port: int


@dataclass(frozen=True)
class Member:
    """A member of etcd."""

    endpoint: str
    health: bool
    error: str


@dataclass(frozen=True)
class Server:
    """An API server: its version, or why it has none to tell."""

    version: str = ""
    error: str = ""


@dataclass(frozen=True)
class Cluster:
    """A part is None where it had no answer; ``unknown`` then says why. ``failed``: the API's own checks that fail.

    ``servers``: the API servers by control plane; of a cluster of others, one without a name.
    """

    ready: bool | None = None
    failed: tuple[str, ...] = ()
    servers: Mapping[str, Server] | None = None
    nodes: Mapping[str, KubeNode] | None = None
    pods: tuple[Pod, ...] | None = None
    dns: Service | None = None
    api: Service | None = None
    etcd: tuple[Member, ...] | None = None
    unknown: Mapping[str, str] = field(default_factory=dict)


def cluster(raw: Mapping[str, Any]) -> Cluster:
    """Return what ``cloud_node/cluster.py`` says."""
    ready, nodes, pods, etcd = (raw.get(key) for key in ("ready", "nodes", "pods", "etcd"))
    return Cluster(
        ready["ok"] if ready else None,
        tuple(ready["failed"]) if ready else (),
        None if raw.get("servers") is None else {name: Server(**each) for name, each in raw["servers"].items()},
        None if nodes is None else {each["name"]: KubeNode(**each) for each in nodes},
        None if pods is None else tuple(Pod(**{**each, "waiting": tuple(each["waiting"])}) for each in pods),
        Service(**raw["dns"]) if raw.get("dns") else None,
        Service(**raw["api"]) if raw.get("api") else None,
        None if etcd is None else tuple(Member(**each) for each in etcd),
        raw.get("unknown") or {},
    )
