"""What the stack tells: where things are reached, which tasks it carries out, its nodes, and how to talk to it."""

from __future__ import annotations

import pulumi

from cluster.data import holdings
from cluster.planned import tasks_of
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
    # shown again, as what goes, by every destroy
    pulumi.export("data", {each.name: str(each) for each in holdings(settings)})
    pulumi.export("nodes", {name: dict(node) for name, node in cluster.nodes.items()})
    pulumi.export("phases", tasks_of(settings))
    pulumi.export("kubeconfig", cluster.kubeconfig)
