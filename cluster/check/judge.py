"""How a cluster is, judged: the API, etcd, the nodes of a group, the system's pods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cluster.check.model import Cluster, KubeNode, Pod
from cluster.report import Problem, Severity
from cluster.settings.model import Settings

CLUSTER = "cluster"
"""What stands in a report in place of a node, for what concerns all of them."""

SYSTEM = ("kube-system", "calico-system", "calico-apiserver", "tigera-operator", "kube-flannel")
"""Namespaces of Kubernetes itself and of the network plugins."""

CONTROL_PLANE = "kube_control_plane"

DNS_APP = "kube-dns"
ON_EACH_NODE = {"kube-proxy": "services reach nobody from there", "calico-node": "pods there have no network"}
"""Of a cluster of Kubespray's or kubeadm's, what runs on each node, by its label k8s-app. k3s has both in itself."""


@dataclass(frozen=True)
class Wanted:
    """Which nodes have to be there, with which version of kubelet.

    ``apps``: what has to run on each of them. ``etcd``: control plane -> its address, where each has a member of etcd
    that can be asked for. ``partly``: the cluster's other nodes are still to come, so only what runs on these is
    judged. ``foreign``: the cluster is somebody else's: all its nodes are looked at, the version by its minor, and what
    is not well is theirs to mend: a warning, as long as one node is Ready.
    """

    nodes: tuple[str, ...]
    version: str
    partly: bool = False
    foreign: bool = False
    apps: tuple[str, ...] = ()
    etcd: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings, group: str) -> Wanted:
        """Return what is wanted after a step: ``kube_control_plane``, of those only; ``kube_node``, of all nodes."""
        provisioner = settings.kubernetes.provisioner
        control_planes = {machine.name: str(machine.address) for machine in settings.by_role("control-plane")}
        every = tuple(machine.name for machine in settings.machines)
        named = tuple(control_planes) if group == CONTROL_PLANE else every
        made = provisioner in ("kubespray", "kubeadm")
        return cls(
            named,
            version(settings),
            partly=len(named) < len(every),
            foreign=provisioner == "existing",
            apps=tuple(ON_EACH_NODE) if made else (),
            etcd=control_planes if made else {},
        )

    def right(self, version: str) -> bool:
        """Whether the version of a kubelet or an API server is the one that is wanted."""
        if self.foreign:
            return version.split(".")[:2] == self.version.split(".")[:2]
        return version == self.version

    @property
    def severity(self) -> Severity:
        """How bad it is that a node or a pod is not well."""
        return "warning" if self.foreign else "error"


def version(settings: Settings) -> str:
    """Return the version that kubelet has to report."""
    kubernetes = settings.kubernetes
    return f"v{(kubernetes.k3s if kubernetes.provisioner == 'k3s' else kubernetes.version).removeprefix('v')}"


def judge(found: Cluster, wanted: Wanted) -> Iterator[Problem]:
    """Yield what is wrong; most of it may pass, since a node needs a while after it has joined."""
    if found.ready is None:
        why = found.unknown.get("ready", "no answer")
        remedy = "on a control plane: crictl ps -a, journalctl -u kubelet (or k3s); is its disk full? df -h"
        absent = "No such file" in why and "kubectl" in why
        if absent:
            remedy = "there is no kubectl where the cluster is asked; install it there"
        yield Problem(CLUSTER, "API", why, "an answer", remedy, passes=not absent)
        return  # the rest would say the same again
    for check in found.failed:
        remedy = "kubectl get --raw '/readyz?verbose'; on a control plane: crictl logs of kube-apiserver"
        yield Problem(CLUSTER, "API", check, "ready", remedy, passes=True)
    for what in sorted(set(found.unknown) - {"ready"}):
        remedy = "run the same again; by hand: kubectl get nodes,pods -A"
        yield Problem(CLUSTER, what, f"cannot be told: {found.unknown[what]}", "an answer", remedy, passes=True)
    yield from _servers(found, wanted)
    yield from _etcd(found, wanted)
    yield from _nodes(found, wanted)
    yield from _pods(found, wanted)
    yield from _absent(found, wanted)


def _servers(found: Cluster, wanted: Wanted) -> Iterator[Problem]:
    """Yield the API servers that do not answer, and those of another version: kubelet's says nothing of theirs."""
    for name, server in (found.servers or {}).items():
        where = name or CLUSTER
        if server.error:
            remedy = (
                f"on {name or 'a control plane'}: crictl ps -a, crictl logs of kube-apiserver; is its disk full? df -h"
            )
            yield Problem(where, "API server", server.error, "an answer", remedy, passes=True)
        elif not wanted.right(server.version):
            yield Problem(where, "API server", server.version, wanted.version, _other_version(wanted))


def _other_version(wanted: Wanted) -> str:
    if wanted.foreign:
        return "kubernetes.version has to say what that cluster runs: the charts are chosen by it"
    return "run pulumi up, which brings it to that version; or put kubernetes.version back to what runs"


def _etcd(found: Cluster, wanted: Wanted) -> Iterator[Problem]:
    """Yield members that are ill, and where members and control planes are not the same; one too many is dead."""
    there = {member.endpoint: member for member in found.etcd or ()}
    for name, address in wanted.etcd.items() if found.etcd is not None else ():
        if there.pop(f"https://{address}:2379", None) is None:
            remedy = f"on {name}: journalctl -u etcd (or crictl logs of etcd); run pulumi up, which joins it"
            yield Problem(name, "etcd member", "none", "one of each control plane", remedy, passes=True)
    for endpoint in there if wanted.etcd else ():
        remedy = "etcdctl member list, then etcdctl member remove ID, on a control plane: it counts for the quorum"
        yield Problem(CLUSTER, f"etcd {endpoint}", "belongs to no control plane", "one of each", remedy)
    for member in found.etcd or ():
        if not member.health:
            remedy = (
                "on that node: journalctl -u etcd (or crictl logs of etcd); a slow disk shows as 'took too long',"
                " a wrong clock as a certificate that is not valid yet"
            )
            yield Problem(
                CLUSTER, f"etcd {member.endpoint}", member.error or "unhealthy", "healthy", remedy, passes=True
            )


def _nodes(found: Cluster, wanted: Wanted) -> Iterator[Problem]:
    if found.nodes is None:
        return
    if wanted.foreign and not any(node.ready for node in found.nodes.values()):
        yield Problem(CLUSTER, "nodes", "none is Ready", "at least one", "kubectl get nodes", passes=True)
    for name in sorted(found.nodes) if wanted.foreign else wanted.nodes:
        node = found.nodes.get(name)
        if node is None:
            remedy = f"on {name}: journalctl -u kubelet (or k3s-agent); can it reach the API? cloudctl net check"
            yield Problem(name, "node", "is not in the cluster", "Ready", remedy, passes=True)
        else:
            yield from _node(node, wanted)


def _node(node: KubeNode, wanted: Wanted) -> Iterator[Problem]:
    if not node.ready:
        remedy = f"kubectl describe node {node.name}; on it: journalctl -u kubelet (or k3s, k3s-agent)"
        if "cni" in node.why.lower() or "network" in node.why.lower():
            there = f"kubectl get pods -A --field-selector spec.nodeName={node.name}"
            remedy = f"its network plugin does not run yet: {there}"
        yield Problem(node.name, "node", f"not Ready: {node.why}", "Ready", remedy, wanted.severity, passes=True)
    if not wanted.right(node.version):
        yield Problem(node.name, "version", node.version, wanted.version, _other_version(wanted))
    if node.cordoned:
        remedy = f"kubectl uncordon {node.name}, if nobody works on it"
        yield Problem(node.name, "node", "is cordoned", "takes pods", remedy, severity="warning")


def _pods(found: Cluster, wanted: Wanted) -> Iterator[Problem]:
    for pod in system_pods(found.pods or (), wanted):
        if pod.well:
            continue
        waits = wanted.partly and pod.unschedulable
        state = ", ".join(pod.waiting) or (f"{pod.phase}, not ready" if pod.phase == "Running" else pod.phase)
        why = pod.unschedulable or pod.why
        yield Problem(
            pod.node or CLUSTER,
            f"pod {pod.namespace}/{pod.name}",
            f"{state}: {why}" if why else state,
            "Running and ready",
            _remedy(pod),
            severity="warning" if waits else wanted.severity,
            passes=True,
        )


def _absent(found: Cluster, wanted: Wanted) -> Iterator[Problem]:
    """Yield what should be there and is not: what is not there cannot be ill, and nothing of it is told above."""
    if found.dns is None and "dns" not in found.unknown:
        remedy = "kubectl get services -n kube-system -l k8s-app=kube-dns; does its add-on run?"
        yield Problem(CLUSTER, "DNS", "no service", "one", remedy, wanted.severity, passes=True)
    pods = [pod for pod in found.pods or () if pod.namespace in SYSTEM and not pod.going]
    if found.pods is not None and not any(pod.app == DNS_APP for pod in pods):
        remedy = "kubectl get deployments -n kube-system; kubectl describe that of CoreDNS"
        yield Problem(CLUSTER, "DNS", "no pod", "one at least", remedy, wanted.severity, passes=True)
    there = {(pod.app, pod.node) for pod in pods}
    for name in wanted.nodes if found.pods is not None and found.nodes is not None else ():
        for app in wanted.apps:
            if name in (found.nodes or {}) and (app, name) not in there:
                remedy = f"{ON_EACH_NODE[app]}: kubectl describe daemonset -n kube-system {app}"
                yield Problem(name, f"pod {app}", "none", "one on each node", remedy, passes=True)


def system_pods(pods: Sequence[Pod], wanted: Wanted) -> Iterator[Pod]:
    """Yield the system's pods that are to be judged: not those of nodes that are still to come, nor what is going."""
    for pod in pods:
        elsewhere = wanted.partly and pod.node and pod.node not in wanted.nodes
        if pod.namespace in SYSTEM and not elsewhere and not pod.going:
            yield pod


def _remedy(pod: Pod) -> str:
    name = f"-n {pod.namespace} {pod.name}"
    if any("Image" in reason for reason in pod.waiting):
        return f"can the node reach the registry? kubectl describe pod {name}; without internet: registry.mirror"
    if "CrashLoopBackOff" in pod.waiting:
        return f"kubectl logs {name} --previous"
    if pod.unschedulable:
        return f"kubectl describe pod {name}; are there nodes with room, and without a taint that it does not tolerate?"
    return f"kubectl describe pod {name}"
