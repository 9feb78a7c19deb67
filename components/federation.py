"""CLOUD-6.2: the HPC cluster's metrics beside the cloud's own, by Prometheus federation."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from cluster.monitoring import dashboards, scrapes
from cluster.monitoring.names import federated
from cluster.settings.model import Settings
from components import kube
from components.base import TaskComponent
from components.dashboards import config_map
from components.monitoring import scrape


@dataclass(frozen=True)
class FederationArgs:
    """``target`` is host:port of the other Prometheus; ``namespace`` is ours, ``folder`` Grafana's."""

    settings: Settings
    target: str
    namespace: pulumi.Input[str]
    folder: pulumi.Input[str]


class Federation(TaskComponent):
    """A ScrapeConfig on the other side's ``/federate`` and a dashboard that compares the two clusters."""

    def __init__(self, name: str, args: FederationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        other = args.settings.hpc.name if args.settings.hpc else "hpc"
        props = {"target": args.target, "cluster": other}
        super().__init__("cloud:integration:Federation", name, "CLOUD-6.2", props, opts)
        asked = scrape(self, "federate", federated(other), args.namespace, scrapes.federation(args.target, other))
        config_map(self, dashboards.COMPARISON, args.namespace, args.folder)
        self.register_outputs({"target": kube.known_after(args.target, asked)})
