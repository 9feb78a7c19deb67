"""A stand-in for nodes that Kubespray upgrades, killed at any of its doings; in memory, a doing after the other.

It keeps what was read in v2.29.1 to v2.31.0 of an upgrade that is cut off and run again:

- roles/kubernetes/node/tasks/install.yml puts kubelet into place and tells a handler only if it was another: told in a
  run that dies before its handlers, it is never started by a later one.
- roles/kubernetes/control-plane/tasks/kubeadm-setup.yml upgrades the API server only where ``upgrade_cluster_setup`` is
  true: in upgrade-cluster.yml. In cluster.yml it is false.
- roles/upgrade/pre-upgrade takes a node that is cordoned for one that somebody else has cordoned, and
  roles/upgrade/post-upgrade leaves it so.

Our own plays around it do here what ``tests/ansible`` proves of them with a real Ansible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from cluster.ansible import Outcome, Play


class KilledError(BaseException):
    """The run was killed here."""


@dataclass
class Host:
    """A node: kubelet in place and running, API server (empty on a worker), and what the API holds of it."""

    role: str
    kubelet: str
    running: str
    api: str = ""
    cordoned: bool = False
    notes: dict[str, str] = field(default_factory=dict)


@dataclass
class Site:
    """Nodes of one version. ``kill_after``: doings until the run dies; ``done`` counts those of this run."""

    hosts: dict[str, Host]
    wanted: str
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
        each_host = {
            "upgrade_begin.yml": self._begun,
            "upgrade-cluster.yml": self._upgraded,
            "upgrade_end.yml": self._ended,
            "cluster.yml": self._kubelet,
        }
        if name in each_host:
            for host in self._chosen(what):
                yield from each_host[name](host)

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
        planes = "kube_control_plane" in words
        return [each for name, each in self.hosts.items() if name in words or (planes and each.api)]

    def _told(self) -> dict[str, dict[str, Any]]:
        told: dict[str, dict[str, Any]] = {
            name: {"installed": {"kubernetes": each.kubelet, "api": each.api, "provisioner": "kubespray"}}
            for name, each in self.hosts.items()
        }
        told["control-1"]["nodes"] = [
            {
                "name": name,
                "ready": True,
                "version": each.running,
                "role": each.role,
                "made": each.notes.get("made", ""),
                "upgrading": "upgrading" in each.notes,
            }
            for name, each in self.hosts.items()
        ]
        return told
