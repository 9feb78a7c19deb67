"""What is there already: versions on the hosts, nodes of the cluster; and what of the wanted is missing.

From what ``ansible/installed.yml`` tells. The cluster itself remembers how each node was made, in an annotation: so
nothing is lost with a folder of this machine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cluster.steps.context import Context

WORKER_ROLES = frozenset({"worker", "gpu-worker"})
CONTROL_PLANE_ROLE = "control-plane"


@dataclass(frozen=True)
class Node:
    """A node as the API tells it; ``version`` is that of the kubelet which runs.

    ``made`` is the mark of how it was made, empty where nobody has marked it. ``upgrading``: an upgrade of it was begun
    and is not known to have come to its end.
    """

    name: str
    ready: bool
    version: str
    role: str = ""
    made: str = ""
    upgrading: bool = False


@dataclass(frozen=True)
class Installed:
    """What is on a host, versions without v: the kubelet in place, and the API server that its manifest names; each
    empty where there is none. ``provisioner``: whose files are there, also where it has not come to its end."""

    kubelet: str = ""
    api: str = ""
    provisioner: str = ""


@dataclass(frozen=True)
class Standing:
    """What there is, by name: what the hosts have, and the nodes that the API knows. ``endpoint``: host:port by which
    nodes find the API, as it was when kubeadm made the cluster; empty where nobody told."""

    hosts: Mapping[str, Installed] = field(default_factory=dict)
    nodes: Mapping[str, Node] = field(default_factory=dict)
    endpoint: str = ""

    def versions(self, name: str) -> list[str]:
        """Return the versions of Kubernetes that a host has, oldest first: of its kubelet in place, of the one that
        runs, of its API server. An installer that was cut off leaves them apart. None where nothing is installed."""
        host, node = self.hosts.get(name, Installed()), self.nodes.get(name)
        if not host.kubelet:  # what the API says of a node is then of another VM of that name
            return []
        running = node.version if node else ""
        return sorted(filter(None, (host.kubelet, host.api, running)), key=_parts)

    def upgrading(self, name: str) -> bool:
        """Whether an upgrade of a host was begun and has not come to its end."""
        node = self.nodes.get(name)
        return bool(node and node.upgrading)


@dataclass(frozen=True)
class Work:
    """What is to be done with workers: ``join`` (nothing there yet), ``again`` (made differently, or not Ready),
    ``upgrade`` (an older Kubernetes), ``remove`` (ours, and no longer wanted), ``gone`` (of those that join: the API
    knows a node of that name, whose VM was another one). ``via``: the control plane that tells them of the cluster."""

    join: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    upgrade: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    via: str = ""

    @property
    def nothing(self) -> bool:
        """Whether all is as it should be."""
        return not (self.join or self.again or self.upgrade or self.remove)


@dataclass(frozen=True)
class Planes:
    """Control planes: ``there`` have a cluster, ``new`` have nothing yet; ``gone`` of these have a node in the API that
    was another VM's; ``remove`` are ours in the API, and no longer wanted. ``unfinished``: what was begun with one of
    them is not known to have come to its end, whatever their versions say."""

    there: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    unfinished: bool = False

    @property
    def ordered(self) -> tuple[str, ...]:
        """All that are wanted, those with a cluster first: where others are told by the first, it must have one."""
        return (*self.there, *self.new)

    @property
    def changed(self) -> bool:
        """Whether the members of a cluster that stands are to be others."""
        return bool(self.there and (self.new or self.remove))


def read(told: Mapping[str, Mapping[str, Any]]) -> Standing:
    """Return what the hosts told."""
    found: dict[str, Installed] = {}
    nodes: dict[str, Node] = {}
    endpoint = ""
    for host, values in told.items():
        endpoint = endpoint or str(values.get("endpoint") or "")
        installed = values.get("installed") or {}
        by = str(installed.get("provisioner") or "")
        found[host] = Installed(_plain(installed.get("kubernetes")), _plain(installed.get("api")), by)
        for raw in values.get("nodes") or []:
            node = Node(
                name=str(raw.get("name", "")),
                ready=raw.get("ready") is True,
                version=_plain(raw.get("version")),
                role=str(raw.get("role") or ""),
                made=str(raw.get("made") or ""),
                upgrading=bool(raw.get("upgrading")),
            )
            nodes[node.name] = node
    return Standing(found, nodes, endpoint)


def mark(context: Context, files: Mapping[str, Any], name: str) -> str:
    """Return the mark of a node that is made now: which VM, with which variables."""
    text = json.dumps([context.made.get(name, ""), files], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def work(wanted: Mapping[str, str], version: str, standing: Standing, planes: Sequence[str] = ()) -> Work:
    """Return what is to be done so that the workers ``wanted`` (name: mark) run a version of Kubernetes; ``planes``:
    the control planes that answer and have a cluster.

    A node counts as ours by the label that we give it; a node that somebody else has joined is left alone.
    """
    join, again, upgrade = [], [], []
    for name, marked in wanted.items():
        node, installed = standing.nodes.get(name), standing.versions(name)
        if node is None or not installed:
            join.append(name)
        elif node.upgrading or _older(installed[0], version):
            upgrade.append(name)
        elif node.made != marked or not node.ready:
            again.append(name)
    gone = [name for name in join if name in standing.nodes and name in standing.hosts]  # one that answered
    remove = _unwanted(standing, WORKER_ROLES, wanted)
    return Work(tuple(join), tuple(again), tuple(upgrade), remove, tuple(gone), next(iter(planes), ""))


def planes(wanted: Sequence[str], standing: Standing) -> Planes:
    """Return what there is of the control planes ``wanted``, and which others have to go."""
    hosts = {name: standing.hosts.get(name, Installed()) for name in wanted}
    # One that was cut off after its kubelet has joined has no API server to be told what to run yet.
    there = [name for name, host in hosts.items() if host.kubelet and (host.api or host.provisioner == "k3s")]
    new = [name for name in wanted if name not in there]
    gone = [name for name in new if name in standing.nodes and name in standing.hosts and not hosts[name].kubelet]
    remove = _unwanted(standing, {CONTROL_PLANE_ROLE}, wanted)
    return Planes(tuple(there), tuple(new), tuple(gone), remove, any(map(standing.upgrading, wanted)))


def _unwanted(standing: Standing, roles: Container[str], wanted: Container[str]) -> tuple[str, ...]:
    """Return the nodes that count as ours, by the label that we give them, in a role in which they are not wanted."""
    return tuple(
        sorted(node.name for node in standing.nodes.values() if node.role in roles and node.name not in wanted)
    )


def versions(standing: Standing, hosts: Sequence[str]) -> list[str]:
    """Return the versions of Kubernetes on these hosts, oldest first; none where nothing is installed."""
    return sorted({each for host in hosts for each in standing.versions(host)}, key=_parts)


def _older(installed: str, wanted: str) -> bool:
    return _parts(installed) < _parts(wanted)


def _parts(version: str) -> tuple[int, ...]:
    """Return (1, 34, 3) of ``1.34.3``; what is no number counts as none."""
    return tuple(int(part) if part.isdigit() else 0 for part in version.split("."))


def _plain(version: object) -> str:
    """Return ``1.34.3`` of ``v1.34.3+k3s1``."""
    return str(version or "").removeprefix("v").partition("+")[0]
