"""Which ports have to be open between nodes, by who installs Kubernetes and what a node is.

From https://kubernetes.io/docs/reference/networking/ports-and-protocols/, Calico's and k3s's pages on requirements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cluster.settings.model import Settings


@dataclass(frozen=True)
class Port:
    """A port that other nodes connect to, and what listens there; ``only``: control-plane, or every node."""

    number: int
    protocol: str
    use: str
    control_plane_only: bool = False

    @property
    def key(self) -> str:
        """The port as it is reported: ``6443/tcp``."""
        return f"{self.number}/{self.protocol}"


_API = Port(6443, "tcp", "the API", True)
_ETCD = (Port(2379, "tcp", "etcd's clients", True), Port(2380, "tcp", "etcd's members", True))
_COMMON = (
    Port(10250, "tcp", "kubelet"),
    Port(30000, "tcp", "services on node ports, the first"),
    Port(32767, "tcp", "services on node ports, the last"),
)
_MANAGED = (
    Port(10257, "tcp", "the controller manager", True),
    Port(10259, "tcp", "the scheduler", True),
)
_CALICO = (Port(179, "tcp", "Calico's BGP"), Port(4789, "udp", "Calico's VXLAN"))
_FLANNEL = (Port(8472, "udp", "k3s's flannel, VXLAN"),)

HOLDERS = ("kube", "etcd", "k3s", "bird", "calico", "flannel", "haproxy", "nginx", "containerd-shim")
"""How the programs of Kubernetes itself begin, as the kernel names them; load balancers of the API among them."""


def needed(settings: Settings) -> tuple[Port, ...]:
    """Return the ports of a stack; etcd's only where there is an etcd that others reach."""
    if settings.kubernetes.provisioner == "k3s":
        embedded = len(settings.by_role("control-plane")) > 1
        return (_API, *(_ETCD if embedded else ()), *_COMMON, *_FLANNEL)
    return (_API, *_ETCD, *_COMMON, *_MANAGED, *_CALICO)


def by_role(ports: tuple[Port, ...]) -> Mapping[str, Mapping[str, list[int]]]:
    """Return role -> protocol -> numbers, for the roles ``control-plane`` and ``node``."""
    return {
        role: {
            protocol: [
                port.number
                for port in ports
                if port.protocol == protocol and (role == "control-plane" or not port.control_plane_only)
            ]
            for protocol in ("tcp", "udp")
        }
        for role in ("control-plane", "node")
    }
