"""A stand-in for nodes that Kubespray upgrades, killed at any of its doings; in memory, a doing after the other.

It keeps what was read in v2.29.1 to v2.31.0 of an upgrade that is cut off and run again:

- roles/kubernetes/node/tasks/install.yml puts kubelet into place and tells a handler only if it was another: told in a
  run that dies before its handlers, it is never started by a later one.
- roles/kubernetes/control-plane/tasks/kubeadm-setup.yml upgrades the API server only where ``upgrade_cluster_setup`` is
  true: in upgrade-cluster.yml. In cluster.yml it is false.
- roles/upgrade/pre-upgrade takes a node that is cordoned for one that somebody else has cordoned, and
  roles/upgrade/post-upgrade leaves it so.
- roles/etcd/tasks/configure.yml asks whether etcd has a member of a host's address; where it has, it does not join,
  though the member be dead. roles/etcd and roles/kubernetes/control-plane begin a cluster on the first of the group,
  unless that one has it.
- The API servers are told of etcd's members by an upgrade only (docs/operations/nodes.md).

Our own plays around it do here what ``tests/ansible`` proves of them with a real Ansible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import yaml

from cluster.ansible import Outcome, Play


class KilledError(BaseException):
    """The run was killed here."""


@dataclass
class Host:
    """A machine: kubelet in place and running, API server (empty on a worker), and what the API holds of its node.

    ``known``: the API has a node of that name. ``etcd``: it runs a member. ``vm`` is False for one that has no VM.
    """

    role: str
    kubelet: str = ""
    running: str = ""
    api: str = ""
    cordoned: bool = False
    notes: dict[str, str] = field(default_factory=dict)
    known: bool = True
    etcd: bool = False
    vm: bool = True

    def made_anew(self) -> None:
        """Make its VM anew: the API goes on knowing the node, and etcd the member."""
        self.kubelet = self.running = self.api = ""
        self.etcd = False


@dataclass
class Site:
    """Machines of one version. ``kill_after``: doings until the run dies; ``done`` counts those of this run.

    ``members`` are the hosts that etcd has a member of, dead or alive; ``new`` those of them that never started,
    ``told`` those that the API servers know of. ``planned``: the control planes of the inventory, in order.
    """

    hosts: dict[str, Host]
    wanted: str
    planned: list[str] = field(default_factory=list)
    members: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    kill_after: int = 0
    done: int = 0

    def play(self, what: Play, watch: Callable[..., None]) -> Outcome:
        """Carry a play out."""
        name = what.playbook.rpartition("/")[2]
        if name == "installed.yml":
            return Outcome(0, (), self._told(), what.log)
        for doing in self._doings(name, what):
            self.done += 1
            if self.done == self.kill_after:
                raise KilledError
            doing()
        return Outcome(0, (), {}, what.log)

    def _doings(self, name: str, what: Play) -> Iterator[Callable[[], Any]]:
        if name == "mark_nodes.yml":
            for host, mark in what.extra["marks"].items():
                yield partial(self.hosts[host].notes.update, made=mark)
        if name == "remove_nodes.yml":
            for host in (*what.extra["gone"], *what.extra["removed"]):
                yield from self._removed(host)
        if name == "cluster.yml":
            yield from self._etcd_joined(what)
        each_host = {
            "upgrade_begin.yml": self._begun,
            "upgrade-cluster.yml": self._upgraded,
            "upgrade_end.yml": self._ended,
            "cluster.yml": self._configured,
            "scale.yml": self._configured,
        }
        if name in each_host:
            for host in self._chosen(what):
                yield from each_host[name](host)
        if name == "upgrade-cluster.yml" and "kube_control_plane" in what.limit:
            yield partial(setattr, self, "told", list(self.members))

    def _removed(self, name: str) -> Iterator[Callable[[], Any]]:
        if name in self.members:
            yield partial(self.members.remove, name)
        yield partial(self.hosts[name].notes.clear)
        yield partial(setattr, self.hosts[name], "cordoned", False)
        yield partial(setattr, self.hosts[name], "known", False)

    def _etcd_joined(self, what: Play) -> Iterator[Callable[[], Any]]:
        if "kube_control_plane" not in what.limit:
            return
        order = list(yaml.safe_load(what.first.read_text())["all"]["children"]["etcd"]["hosts"]) if what.first else []
        first = (order or self.planned)[0]
        if self.members and not self.hosts[first].etcd:
            self.violations.append(f"{first} began a second cluster")
        for name in order or self.planned:
            if name not in self.members:
                yield partial(self._added, name)
            if name in self.new:  # added, and never started: it may join with nothing on its disk
                yield partial(self._started, name)

    def _added(self, name: str) -> None:
        self.members.append(name)
        self.new.append(name)

    def _started(self, name: str) -> None:
        self.hosts[name].etcd = True
        self.new.remove(name)

    def _configured(self, host: Host) -> Iterator[Callable[[], Any]]:
        yield from self._kubelet(host)
        if not host.known:
            yield partial(setattr, host, "known", True)
        if host.role == "control-plane" and not host.api:
            yield partial(setattr, host, "api", self.wanted)

    def _begun(self, host: Host) -> Iterator[Callable[[], Any]]:
        if "upgrading" not in host.notes:
            notes = {"upgrading": ""} | ({} if host.cordoned else {"drained": ""})
            yield partial(host.notes.update, notes)

    def _ended(self, host: Host) -> Iterator[Callable[[], Any]]:
        if host.running != host.kubelet:
            yield partial(setattr, host, "running", host.kubelet)
        if "drained" in host.notes:
            yield partial(setattr, host, "cordoned", False)
            yield partial(host.notes.pop, "drained")
        if "upgrading" in host.notes:
            yield partial(host.notes.pop, "upgrading")

    def _upgraded(self, host: Host) -> Iterator[Callable[[], Any]]:
        ours = not host.cordoned
        if ours:
            yield partial(setattr, host, "cordoned", True)
        yield from self._kubelet(host)
        if host.api:
            yield partial(setattr, host, "api", self.wanted)
        if ours:
            yield partial(setattr, host, "cordoned", False)

    def _kubelet(self, host: Host) -> Iterator[Callable[[], Any]]:
        if host.kubelet != self.wanted:
            yield partial(setattr, host, "kubelet", self.wanted)
            yield partial(setattr, host, "running", self.wanted)

    def _chosen(self, what: Play) -> list[Host]:
        if "upgraded" in what.extra:
            return [self.hosts[each] for each in what.extra["upgraded"]]
        words = what.limit.split(":")
        chosen = [*words, *(self.planned if "kube_control_plane" in words else [])]
        return [each for name, each in self.hosts.items() if name in chosen]

    def _told(self) -> dict[str, dict[str, Any]]:
        told: dict[str, dict[str, Any]] = {
            name: {"installed": {"kubernetes": each.kubelet, "api": each.api, "provisioner": "kubespray"}}
            for name, each in self.hosts.items()
            if each.vm
        }
        told["control-1"]["nodes"] = [
            {
                "name": name,
                "ready": bool(each.running),
                "version": each.running or "1.0.0",
                "role": each.role,
                "made": each.notes.get("made", ""),
                "upgrading": "upgrading" in each.notes,
            }
            for name, each in self.hosts.items()
            if each.known
        ]
        return told
