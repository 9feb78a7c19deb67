"""CLOUD-4.2: Grafana's dashboards, as ConfigMaps that its sidecar picks up."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core.v1 import ConfigMap

from cluster.monitoring import dashboards
from cluster.settings.model import Settings
from components import kube
from components.base import TaskComponent


@dataclass(frozen=True)
class DashboardsArgs:
    """``namespace`` of the monitoring that shows them."""

    settings: Settings
    namespace: pulumi.Input[str]


class Dashboards(TaskComponent):
    """A ConfigMap for each dashboard that the stack has something for. ``folder``: where in Grafana they are."""

    folder: pulumi.Output[str]

    def __init__(self, name: str, args: DashboardsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        wanted = dashboards.wanted(args.settings)
        super().__init__("cloud:monitoring:Dashboards", name, "CLOUD-4.2", {"dashboards": list(wanted)}, opts)
        made = [config_map(self, each, args.namespace, dashboards.FOLDER) for each in wanted]
        self.folder = kube.known_after(dashboards.FOLDER, *made)
        self.register_outputs({"folder": self.folder})


def config_map(owner: TaskComponent, name: str, namespace: pulumi.Input[str], folder: pulumi.Input[str]) -> ConfigMap:
    """Make the ConfigMap of one dashboard."""
    return ConfigMap(
        f"dashboard-{name}",
        metadata={
            "name": name,
            "namespace": namespace,
            "labels": dict(dashboards.LABEL),
            "annotations": {dashboards.FOLDER_ANNOTATION: folder},
        },
        data={f"{name}.json": dashboards.text(name)},
        opts=owner.child(),
    )
