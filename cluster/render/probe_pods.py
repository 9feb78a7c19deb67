"""Pods that the check of a cluster makes for as long as it asks, one on a node: they do nothing but have an address.

From the image that holds every pod's network open (pause), by the name that the node's kubelet gives it, so nothing is
fetched. A node is named, not chosen by the scheduler: taints that keep pods off it do not count, and the one that sends
them away is tolerated. Allowed by the restricted level of Pod Security. A check that is killed leaves them: they run
ten minutes at most (``activeDeadlineSeconds``), and the next check removes what is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAMESPACE = "default"
LABEL = "inference-cloud/probe"
PREFIX = "inference-cloud-probe-"
USER = 65535
"""Who the image runs as; said once more for ``runAsNonRoot``."""
LIFE_S = 600


def probe_pods(images: Mapping[str, str]) -> dict[str, Any]:
    """Return a list of pods for ``kubectl apply``; ``images``: node -> name of the image there."""
    return {"apiVersion": "v1", "kind": "List", "items": [_pod(node, image) for node, image in sorted(images.items())]}


def _pod(node: str, image: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"{PREFIX}{node}", "namespace": NAMESPACE, "labels": {LABEL: "true"}},
        "spec": {
            "nodeName": node,
            "tolerations": [{"operator": "Exists"}],
            "restartPolicy": "Never",
            "activeDeadlineSeconds": LIFE_S,
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "pause",
                    "image": image,
                    "imagePullPolicy": "Never",
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "resources": {
                        "requests": {"cpu": "1m", "memory": "4Mi"},
                        "limits": {"cpu": "100m", "memory": "32Mi"},
                    },
                }
            ],
        },
    }
