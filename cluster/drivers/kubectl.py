"""The cluster by kubectl: everything that a rollout asks of it or does to it, as the words that are typed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.drivers import parse
from cluster.drivers.model import HOLD, KEPT, NAMESPACE, OURS, CheckPod, DriverPod, GpuPod, Node, Policy
from cluster.drivers.tools import Done, DriverError, SilentError, Tools

DRIVER_LABEL = "app.kubernetes.io/component=nvidia-driver"
"""On every DaemonSet of the driver and its pods (assets/state-driver/0500_daemonset.yaml, v26.7.0)."""

POLICIES = "clusterpolicies.nvidia.com"

ATTEMPTS = 6
COMMAND_S = 60.0
REQUEST = "--request-timeout=30s"

UNCHECKED = "--validate=false"
"""kubectl need not fetch the API's whole schema for objects that are always of the same shape."""

_AGAIN = re.compile(
    r"unable to connect|connection refused|connection reset|no answer within|i/o timeout|tls handshake|was refused"
    r"|etcdserver|unexpected eof|http2: |service ?unavailable|internal ?error|the server was unable|request did not"
    r"|client\.timeout|deadline exceeded|no route to host|try again",
    re.IGNORECASE,
)
"""An API server that restarts, or moves to another control plane, is asked again."""

_ABSENT = re.compile(r"\(NotFound\)|not found")


@dataclass(frozen=True)
class Kubectl:
    """``kubectl`` for one cluster. What does not answer raises SilentError, what is refused DriverError."""

    tools: Tools
    kubeconfig: str

    # ---- what is there -----------------------------------------------------------------------------------------------

    def policy(self) -> Policy | None:
        """Return the operator's ClusterPolicy, or None where there is none; the operator heeds one only."""
        found = self._items(POLICIES)
        return parse.policy(found[0]) if found else None

    def nodes(self) -> dict[str, Node]:
        """Return every node by name."""
        return {node.name: node for node in map(parse.node, self._items("nodes"))}

    def driver_pods(self) -> dict[str, DriverPod]:
        """Return the driver pods by node; of two on one node the one that stays."""
        pods = sorted(map(parse.driver_pod, self._items("pods", "-n", NAMESPACE, "-l", DRIVER_LABEL)), key=_stays)
        return {pod.node: pod for pod in pods}

    def driver_images(self) -> list[str]:
        """Return the driver image of each of the driver's DaemonSets: what a new pod would get."""
        found = self._items("daemonsets", "-n", NAMESPACE, "-l", DRIVER_LABEL)
        return [parse.driver_image(each.get("spec", {}).get("template", {})) for each in found]

    def gpu_pods(self, node: str) -> list[GpuPod]:
        """Return the pods that hold a node's cards."""
        return parse.gpu_pods(self._items("pods", "-A", f"--field-selector=spec.nodeName={node}"))

    def check_pod(self, name: str) -> CheckPod | None:
        """Return a check pod, or None where it is not there."""
        item = self.object("pod", name)
        return parse.check_pod(item) if item else None

    def log(self, pod: str) -> str:
        """Return what a pod of the operator's namespace printed, as much as can be had."""
        return self._ask("logs", pod, "-n", NAMESPACE, "--tail=50").out

    def last_event(self, pod: str) -> str:
        """Return the last warning about a pod, or nothing."""
        items = self._items("events", "-n", NAMESPACE, f"--field-selector=involvedObject.name={pod},type=Warning")
        return str(items[-1].get("message", "")) if items else ""

    def object(self, kind: str, name: str) -> Mapping[str, Any] | None:
        """Return an object of the operator's namespace, or None."""
        out = self._must("get", kind, name, "-n", NAMESPACE, "--ignore-not-found", "-o", "json")
        return _json(out) if out.strip() else None

    # ---- what is done ------------------------------------------------------------------------------------------------

    def set_version(self, policy: Policy, version: str) -> None:
        """Tell the operator which driver its DaemonSets are to name."""
        patch = json.dumps({"spec": {"driver": {"version": version}}})
        self._must("patch", POLICIES, policy.name, "--type=merge", "-p", patch)

    def hold(self, node: Node) -> None:
        """Keep new pods from a node and note that it is for a rollout: in one patch, so never half of it."""
        mark = node.held or (KEPT if node.cordoned else OURS)
        self._patch_node(node.name, mark, cordoned=True)

    def release(self, node: Node) -> None:
        """Let pods in again, unless somebody else had cordoned the node before."""
        self._patch_node(node.name, None, cordoned=node.held == KEPT)

    def evict(self, pod: GpuPod) -> str:
        """Ask that a pod leaves, as ``kubectl drain`` does; return what is against it (a disruption budget), or "" ."""
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod.name, "namespace": pod.namespace},
        }
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/eviction"
        done = self._ask("create", "--raw", path, "-f", "-", given=json.dumps(body))
        return "" if done.status == 0 or _ABSENT.search(done.err) else done.said

    def delete_pod(self, name: str) -> None:
        """Delete a pod of the operator's namespace, and do not wait for it to be gone."""
        self._must("delete", "pod", name, "-n", NAMESPACE, "--ignore-not-found", "--wait=false")

    def create(self, manifest: Mapping[str, Any]) -> None:
        """Create an object. One that is there already is as good: an answer may have been lost on the way."""
        done = self._ask("create", UNCHECKED, "-f", "-", given=json.dumps(manifest))
        if done.status != 0 and "AlreadyExists" not in done.err:
            raise self._refused(done, ["create", str(manifest.get("kind"))])

    def replace(self, manifest: Mapping[str, Any]) -> None:
        """Replace an object; one that says its ``resourceVersion`` only if nobody else has changed it since."""
        self._must("replace", UNCHECKED, "-f", "-", given=json.dumps(manifest))

    # ---- how ---------------------------------------------------------------------------------------------------------

    def _patch_node(self, name: str, mark: str | None, *, cordoned: bool) -> None:
        patch = {"metadata": {"annotations": {HOLD: mark}}, "spec": {"unschedulable": cordoned or None}}
        self._must("patch", "node", name, "--type=merge", "-p", json.dumps(patch))

    def _items(self, kind: str, *words: str) -> list[Mapping[str, Any]]:
        return list(_json(self._must("get", kind, *words, "-o", "json")).get("items") or [])

    def _must(self, *words: str, given: str = "") -> str:
        done = self._ask(*words, given=given)
        if done.status != 0:
            raise self._refused(done, words)
        return done.out

    def _ask(self, *words: str, given: str = "") -> Done:
        """Run kubectl; ask again while the API cannot be reached, and raise SilentError where it stays so."""
        for attempt in range(ATTEMPTS):
            done = self.tools.run(["kubectl", "--kubeconfig", self.kubeconfig, REQUEST, *words], COMMAND_S, given)
            if done.status == 0 or not _AGAIN.search(done.said):
                return done
            if attempt < ATTEMPTS - 1:
                self.tools.sleep(5 * (attempt + 1))
        look = f"kubectl --kubeconfig {self.kubeconfig} get nodes"
        raise SilentError(f"the cluster does not answer: {done.said}; try: {look}")

    def _refused(self, done: Done, words: Sequence[str]) -> DriverError:
        return DriverError(f"kubectl {' '.join(words[:4])} failed: {done.said}")


def _stays(pod: DriverPod) -> tuple[bool, str]:
    return (not pod.leaving, pod.name)


def _json(text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text))
    except ValueError:
        raise SilentError(f"kubectl printed no JSON: {text[:100]!r}") from None
