"""CLOUD-6.2: the HPC cluster's metrics beside the cloud's own, by Prometheus federation."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from cluster.render import dashboards
from cluster.settings.model import Settings
from components import kube
from components.base import TaskComponent
from components.dashboards import config_map

MATCH = (
    '{__name__=~"node_cpu_seconds_total|node_memory_MemAvailable_bytes|node_memory_MemTotal_bytes|node_load1"}',
    '{__name__=~"DCGM_FI_DEV_(GPU_UTIL|FB_USED|FB_FREE|POWER_USAGE|GPU_TEMP)"}',
    '{__name__=~"slurm_.+"}',
)
"""What is worth having of the other side: enough to compare, not its whole store."""


@dataclass(frozen=True)
class FederationArgs:
    """``target`` is host:port of the other Prometheus; the rest says where Prometheus and Grafana look."""

    settings: Settings
    target: str
    namespace: pulumi.Input[str]
    datasource: pulumi.Input[str]
    folder: pulumi.Input[str]


class Federation(TaskComponent):
    """A ScrapeConfig on the other side's ``/federate`` and a dashboard that compares the two clusters."""

    def __init__(self, name: str, args: FederationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        other = args.settings.hpc.name if args.settings.hpc else "hpc"
        props = {"target": args.target, "cluster": other}
        super().__init__("cloud:integration:Federation", name, "CLOUD-6.2", props, opts)
        scrape = kube.custom(
            self,
            "federate",
            ("monitoring.coreos.com/v1alpha1", "ScrapeConfig"),
            {"name": f"federate-{other}", "namespace": args.namespace},
            scrape_config(args.target, other),
        )
        config_map(self, dashboards.comparison(other), args.namespace, args.datasource, args.folder)
        self.register_outputs({"target": kube.known_after(args.target, scrape)})


def scrape_config(target: str, other: str) -> dict[str, object]:
    """Return the spec: series keep their own labels, get ``cluster``, and a ``job`` that no alert of ours looks for."""
    return {
        "jobName": f"federate-{other}",
        "scrapeInterval": "30s",
        "metricsPath": "/federate",
        "params": {"match[]": list(MATCH)},
        "honorLabels": True,
        "staticConfigs": [{"targets": [target], "labels": {"cluster": other}}],
        "metricRelabelings": [
            {"sourceLabels": ["job"], "regex": "(.+)", "targetLabel": "job", "replacement": f"{other}/$1"},
            {"targetLabel": "cluster", "replacement": other},
        ],
    }
