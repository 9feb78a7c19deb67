"""Pods of the check's own, on nodes where no pod of the system has a network: what is made, and what came of it.

Without them "pods reach each other" would be proved only where some pod happens to run, and one of a service may be
behind a network policy that answers nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from cluster.check.model import Cluster, Pod
from cluster.render.probe_pods import LABEL, NAMESPACE, PREFIX, probe_pods

SYSTEM = "kube-system"
UNTOLD = {"said": "nobody told what became of it; the log says why"}


@dataclass(frozen=True)
class Probes:
    """Pods that were made, and why there are none on some nodes."""

    pods: tuple[Pod, ...] = ()
    notes: tuple[str, ...] = field(default=())


def is_ours(pod: Pod) -> bool:
    """Whether a check made a pod, this one or one that was killed."""
    return pod.namespace == NAMESPACE and pod.name.startswith(PREFIX)


def bare(found: Cluster, asked: Collection[str]) -> list[str]:
    """Return the nodes of ``asked`` that are Ready and have no pod of the system's with a network of its own."""
    served = {
        pod.node
        for pod in found.pods or ()
        if pod.namespace == SYSTEM and pod.address and pod.phase == "Running" and not (pod.host_network or pod.going)
    }
    return [name for name, node in (found.nodes or {}).items() if name in asked and node.ready and name not in served]


def variables(found: Cluster, nodes: Collection[str]) -> dict[str, Any]:
    """Return what ``probe_pods.yml`` is told, to make pods on ``nodes`` where their image is known; none: to clear."""
    images = {name: node.pause for name, node in (found.nodes or {}).items() if name in nodes and node.pause}
    return {"probe_pods": probe_pods(images), "probe_label": LABEL, "probe_namespace": NAMESPACE}


def read(told: Mapping[str, Any], found: Cluster, nodes: Collection[str]) -> Probes:
    """Return the pods that run, from what the play told, and a note on nodes that have none."""
    said: Mapping[str, Any] = next((each["probe"] for each in told.values() if "probe" in each), UNTOLD)
    pods = tuple(pod for item in said.get("pods", ()) if (pod := _pod(item)))
    unnamed = sorted(name for name in nodes if not (found.nodes or {})[name].pause)
    missing = sorted({*nodes} - {*unnamed} - {pod.node for pod in pods})
    notes = []
    if unnamed:
        notes.append(f"no pod was made on {', '.join(unnamed)}: the node names no pause image that it has")
    if missing:
        why = " ".join(str(said.get("said", "")).split())[:300] or "it did not run within 60 s"
        notes.append(f"no pod could be made on {', '.join(missing)}: {why}")
    return Probes(pods, tuple(notes))


def _pod(item: Mapping[str, Any]) -> Pod | None:
    """Return a pod that runs; None where it does not, or is on its way out."""
    status, metadata = item.get("status", {}), item["metadata"]
    if status.get("phase") != "Running" or not status.get("podIP") or "deletionTimestamp" in metadata:
        return None
    return Pod(NAMESPACE, metadata["name"], item["spec"]["nodeName"], "Running", True, False, address=status["podIP"])
