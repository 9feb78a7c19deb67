"""What Prometheus asks outside of the cluster: exporters on the hosts, those of timers, and the other Prometheus.

Specs of the operator's ScrapeConfig (monitoring.coreos.com/v1alpha1). Inside the cluster each service brings a monitor.
"""

from __future__ import annotations

from typing import Any

from cluster.monitoring.names import CLUSTER, HOST_LIBVIRT, HOST_NODE, TIMERS, federated
from cluster.settings.model import Settings

Spec = dict[str, Any]

MATCH = (
    '{__name__=~"node_cpu_seconds_total|node_memory_MemAvailable_bytes|node_memory_MemTotal_bytes|node_load1"}',
    '{__name__=~"DCGM_FI_DEV_(GPU_UTIL|FB_USED|FB_FREE|POWER_USAGE|GPU_TEMP)"}',
    '{__name__=~"slurm_.+"}',
)
"""What is worth having of the other side: enough to compare, not its whole store."""

SCRAPE_CLASS: Spec = {
    "name": "default",
    "default": True,
    "relabelings": [{"sourceLabels": ["cluster"], "regex": "^$", "targetLabel": "cluster", "replacement": CLUSTER}],
}
"""What every monitor gets: ``cluster`` says whose measurements these are, unless they say so themselves."""


def outside(settings: Settings) -> dict[str, Spec]:
    """Return job -> spec of what the settings name outside of the cluster, without the other Prometheus."""
    exporters = {
        HOST_NODE: {host.name: host.exporters.node for host in settings.hosts if host.exporters.node},
        HOST_LIBVIRT: {host.name: host.exporters.libvirt for host in settings.hosts if host.exporters.libvirt},
    }
    found = {job: _static(job, targets) for job, targets in exporters.items() if targets}
    if settings.monitoring.timers:
        found[TIMERS] = _static(TIMERS, {TIMERS: settings.monitoring.timers})
    return found


def federation(target: str, other: str) -> Spec:
    """Return the scrape of the other Prometheus: series keep their own labels, and get the other's name as ``cluster``.

    Their jobs get it in front, so that no rule of ours takes them for our own.
    """
    return {
        "jobName": federated(other),
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


def _static(job: str, targets: dict[str, str]) -> Spec:
    """Return a scrape of host -> host:port; the label ``host`` says which."""
    return {
        "jobName": job,
        "scrapeInterval": "30s",
        "staticConfigs": [{"targets": [target], "labels": {"host": host}} for host, target in targets.items()],
    }
