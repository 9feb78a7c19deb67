"""What the Kubernetes API says of the cloud's nodes and of its models' services, by kubectl."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cloudctl.flipping.outside import capture
from cluster.flip.commands import SERVICE_LABEL, kubectl
from cluster.flip.model import Cluster, Node, Service
from cluster.flip.world import Outcome
from cluster.render.inference_service import NAMESPACE, STOP

SECONDS = 20.0
PATIENCE = "--request-timeout=10s"

Item = dict[str, Any]


def cluster(kubeconfig: Path, *, services: bool) -> Cluster:
    """Return nodes, and where asked for the models' services; or why nobody can tell."""
    if not kubeconfig.is_file():
        return Cluster(missing=f"there is no cluster yet ({kubeconfig} is not there)")
    if shutil.which("kubectl") is None:
        return Cluster(missing="there is no kubectl on PATH")
    nodes = _get(kubeconfig, "nodes")
    if isinstance(nodes, str):
        return Cluster(down=f"the Kubernetes API does not answer: {nodes}")
    found = {str(item["metadata"]["name"]): _node(item) for item in nodes}
    if not services:
        return Cluster(found)
    marked = _get(kubeconfig, "inferenceservices", "-n", NAMESPACE)
    pods = _get(kubeconfig, "pods", "-n", NAMESPACE, "-l", SERVICE_LABEL)
    if isinstance(marked, str) or isinstance(pods, str):
        silent = marked if isinstance(marked, str) else pods
        return Cluster(down=f"the Kubernetes API does not answer: {silent}")
    return Cluster(found, {str(each["metadata"]["name"]): _service(each, pods) for each in marked})


def _get(kubeconfig: Path, kind: str, *words: str) -> list[Item] | str:
    """Return the objects of a kind, or why they cannot be had; a kind that the cluster does not know has none."""
    done = capture(kubectl(str(kubeconfig), "get", kind, *words, "-o", "json", PATIENCE), SECONDS)
    if isinstance(done, Outcome):
        return done.said
    if done.returncode != 0:
        if "the server doesn't have a resource type" in done.stderr:
            return []
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        return lines[-1] if lines else f"kubectl ended with {done.returncode}"
    try:
        return list(json.loads(done.stdout)["items"])
    except (ValueError, KeyError):
        return "kubectl printed no JSON"


def _node(item: Item) -> Node:
    return Node(ready=_condition(item, "Ready"), cordoned=bool(item.get("spec", {}).get("unschedulable")))


def _service(item: Item, pods: list[Item]) -> Service:
    metadata = item["metadata"]
    stopped = str((metadata.get("annotations") or {}).get(STOP, "")).lower() == "true"
    mine = [pod for pod in pods if pod["metadata"].get("labels", {}).get(SERVICE_LABEL) == metadata["name"]]
    return Service(stopped=stopped, ready=_condition(item, "Ready"), pods=len(list(_alive(mine))))


def _alive(pods: list[Item]) -> Iterator[Item]:
    """Yield the pods that still have their resources: one that is through holds no GPU."""
    for pod in pods:
        if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
            yield pod


def _condition(item: Item, kind: str) -> bool:
    conditions = item.get("status", {}).get("conditions") or []
    return any(each.get("type") == kind and each.get("status") == "True" for each in conditions)
