"""What keeps a service up while nodes are drained: a second pod on another node, and a PodDisruptionBudget over both.

A budget over one pod would only make its node undrainable, so only what has more than one pod gets one. PostgreSQL's
comes from its operator.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cluster.settings.model import Settings


def replicas(settings: Settings) -> int:
    """Return how many pods a service of ours gets that can have several: two where two nodes take ordinary pods.

    Of a cluster that exists already nobody here knows the nodes: one.
    """
    roles = ("worker",) if settings.kubernetes.gpu_taint else ("worker", "gpu-worker")
    return 2 if sum(machine.role in roles for machine in settings.machines) > 1 else 1


def spread(labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the constraint that puts pods with these labels on different nodes where it can."""
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": dict(labels)},
    }


def budget(labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the spec of a PodDisruptionBudget that lets one pod with these labels go at a time."""
    return {"maxUnavailable": 1, "selector": {"matchLabels": dict(labels)}}
