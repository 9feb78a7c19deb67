"""Where a model's pods may run, and how long they stay on a node that does not answer."""

from __future__ import annotations

from typing import Any

from cluster.render.inventory import ROLE_LABEL
from cluster.render.prepull import GPU_NODES

_UNWELL = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
"""Taints of a node whose kubelet is not well, or says nothing (Kubernetes' docs, "Taints and Tolerations")."""


def leave(seconds: int) -> list[dict[str, Any]]:
    """Return the tolerations by which a pod leaves a lost node so many seconds after it was found to be lost.

    Without them the API server's admission gives every pod 300 seconds.
    """
    return [{"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds} for key in _UNWELL]


def without_gpus() -> dict[str, Any]:
    """Return the affinity for nodes without GPUs, by our label and by that of NVIDIA's feature discovery."""
    terms = [
        {"key": ROLE_LABEL, "operator": "NotIn", "values": ["gpu-worker"]},
        *({"key": key, "operator": "DoesNotExist"} for key in GPU_NODES),
    ]
    required = {"nodeSelectorTerms": [{"matchExpressions": terms}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
