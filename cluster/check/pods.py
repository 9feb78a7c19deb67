"""The network of pods: what is asked from each node, and what the answers mean."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cluster.check.judge import CLUSTER
from cluster.check.model import Cluster, Pod
from cluster.check.probes import SYSTEM, is_ours
from cluster.probe.model import Node
from cluster.report import Problem
from cluster.settings.model import Settings

NAME = "kubernetes.default.svc.cluster.local"

GOOD = ("ok", "open")

_CNI = (
    "does the network plugin run on both? kubectl get pods -A -o wide; is its tunnel let through, 4789/udp (k3s:"
    " 8472/udp)? cloudctl net check"
)
_PROXY = "does kube-proxy run there? kubectl get pods -n kube-system -o wide; on the node: iptables-save | grep KUBE"


def targets(pods: Sequence[Pod]) -> dict[str, str]:
    """Return address -> node of a pod with a network of its own on each node that has one: the system's, ours, any."""
    chosen: dict[str, Pod] = {}
    for pod in sorted(pods, key=lambda each: (each.namespace != SYSTEM, not is_ours(each), each.namespace, each.name)):
        if pod.node and pod.address and pod.phase == "Running" and not pod.host_network and not pod.going:
            chosen.setdefault(pod.node, pod)
    return {pod.address: node for node, pod in chosen.items()}


def question(found: Cluster, settings: Settings) -> dict[str, Any]:
    """Return what each node is asked: the arguments of ``cloud_node/pods.py``."""
    return {
        "network": str(settings.network.pods),
        "pods": list(targets(found.pods or ())),
        "services": [{"address": found.api.address, "port": found.api.port}] if found.api else [],
        "dns": found.dns.address if found.dns else None,
        "name": NAME,
    }


def judge(nodes: Mapping[str, Node], found: Cluster) -> Iterator[Problem]:
    """Yield what does not get through; ways from several nodes to the same pod are one problem."""
    where = targets(found.pods or ())
    broken: dict[tuple[str, str, str, str, str], list[str]] = defaultdict(list)
    for name, node in nodes.items():
        for words in _from(node, where, found):
            broken[words].append(name)
    for (target, what, shown, wanted, remedy), sources in broken.items():
        yield Problem(f"{', '.join(sorted(sources))} -> {target}", what, shown, wanted, remedy, passes=True)


def _from(node: Node, where: Mapping[str, str], found: Cluster) -> Iterator[tuple[str, str, str, str, str]]:
    if node.pods is None:
        return
    for address, error in node.pods.pods.items():
        if error is not None:
            yield where.get(address, address), f"pod {address}", error, "an answer to ping", _CNI
    for place, said in node.pods.services.items():
        if said not in GOOD:
            yield CLUSTER, f"service {place} (the API)", said, "a connection", _PROXY
    dns = node.pods.dns
    if dns is not None and found.dns:
        wanted = [found.api.address] if found.api else dns.get("addresses")
        if dns.get("addresses") != wanted:
            shown = dns.get("error") or ", ".join(dns.get("addresses", []))
            remedy = "kubectl logs -n kube-system -l k8s-app=kube-dns; if no service answers there, see kube-proxy"
            yield CLUSTER, f"DNS at {found.dns.address}", f"{NAME}: {shown}", ", ".join(wanted or []), remedy


def notes(nodes: Mapping[str, Node], found: Cluster) -> list[str]:
    """Return what was proved, and what was not."""
    where = targets(found.pods or ())
    probes = {name: node.pods for name, node in nodes.items() if node.pods}
    inside = [name for name, probe in probes.items() if probe.origin != "node"]
    outside = sorted(set(probes) - set(inside))
    text = [
        f"pod network: asked from a pod on {len(inside)} of {len(probes)} nodes, of pods on {len(set(where.values()))}"
    ]
    if outside:
        text.append(f"no pod with a network of its own on {', '.join(outside)}: asked from the node, not from a pod")
    return text
