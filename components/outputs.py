"""What the stack tells: where things are reached, which tasks it carries out, its nodes, and how to talk to it."""

from __future__ import annotations

import pulumi

from cluster.phases import TASKS
from cluster.settings.model import Settings
from components.kubernetes import Cluster
from components.platform import PlatformOutputs

MODEL = "model/"
"""Prefix of a model's name among the platform's endpoints."""


def export_outputs(settings: Settings, cluster: Cluster, platform: PlatformOutputs) -> None:
    """Export the stack's outputs; ``kubeconfig`` is secret, every other is plain."""
    endpoints = platform.endpoints
    pulumi.export("endpoints", {name: url for name, url in endpoints.items() if not name.startswith(MODEL)})
    pulumi.export("internal", dict(platform.internal))
    pulumi.export(
        "models", {name.removeprefix(MODEL): url for name, url in endpoints.items() if name.startswith(MODEL)}
    )
    pulumi.export("nodes", {name: dict(node) for name, node in cluster.nodes.items()})
    pulumi.export("phases", phases(settings))
    pulumi.export("kubeconfig", cluster.kubeconfig)


def phases(settings: Settings) -> list[str]:
    """Return the ids of the tasks that a stack of these settings carries out, in order."""
    gpus = settings.gpu_count > 0
    skipped = {
        "CLOUD-1.2": not (gpus and settings.images.gpu_worker),
        "CLOUD-2.2": not gpus,
        "CLOUD-5.2": not settings.models,
        "CLOUD-6.1": settings.transfer is None,
        "CLOUD-6.2": settings.monitoring.federate is None,
        "CLOUD-6.3": not settings.models,
    }
    return [task for task in TASKS if not skipped.get(task)]
