"""CLOUD-4.2: Grafana's dashboards, as ConfigMaps that its sidecar picks up."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core.v1 import ConfigMap

from cluster.render import dashboards
from cluster.settings.model import Settings
from components import kube
from components.base import TaskComponent


@dataclass(frozen=True)
class DashboardsArgs:
    """``namespace`` and ``datasource`` of the monitoring that shows them."""

    settings: Settings
    namespace: pulumi.Input[str]
    datasource: pulumi.Input[str]


class Dashboards(TaskComponent):
    """A ConfigMap per dashboard; that of the GPUs only where there are some. ``folder``: where in Grafana they are."""

    folder: pulumi.Output[str]

    def __init__(self, name: str, args: DashboardsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        wanted = [dashboards.serving(), dashboards.platform()]
        if args.settings.gpu_count:
            wanted.insert(0, dashboards.gpus())
        super().__init__(
            "cloud:monitoring:Dashboards", name, "CLOUD-4.2", {"dashboards": [title for title, _ in wanted]}, opts
        )
        made = [config_map(self, each, args.namespace, args.datasource, dashboards.FOLDER) for each in wanted]
        self.folder = kube.known_after(dashboards.FOLDER, *made)
        self.register_outputs({"folder": self.folder})


def config_map(
    owner: TaskComponent,
    dashboard: tuple[str, list[dashboards.Panel]],
    namespace: pulumi.Input[str],
    datasource: pulumi.Input[str],
    folder: pulumi.Input[str],
) -> ConfigMap:
    """Make the ConfigMap of one dashboard."""
    name = dashboards.slug(dashboard[0])
    text = pulumi.Output.from_input(datasource).apply(lambda uid: dashboards.render(dashboard, uid))
    return ConfigMap(
        f"dashboard-{name}",
        metadata={
            "name": name,
            "namespace": namespace,
            "labels": dict(dashboards.LABEL),
            "annotations": {dashboards.FOLDER_ANNOTATION: folder},
        },
        data={f"{name}.json": text},
        opts=owner.child(),
    )
