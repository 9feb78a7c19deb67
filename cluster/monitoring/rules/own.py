"""The monitoring itself: that it is alive, that what it asks answers and can be read, and the other cluster's too."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.monitoring.names import (
    ETCD,
    HOST_LIBVIRT,
    HOST_NODE,
    MLFLOW,
    NODES,
    PROXIES,
    STORE,
    TEXTFILES,
    federated,
)
from cluster.monitoring.rules.rule import Alert, Rule
from cluster.settings.model import Settings

_OWN = "|".join((HOST_NODE, HOST_LIBVIRT, ETCD, PROXIES, "federate-.+"))
"""Jobs that have an alert of their own when they do not answer, and so have the namespaces beside them."""


def rules(settings: Settings) -> Iterable[Rule]:
    """Yield them. They take the place of the chart's group ``general``, which is switched off."""
    yield Alert(
        "Watchdog",
        "vector(1)",
        0,
        "none",
        "fires always: as long as it arrives, Prometheus and Alertmanager work",
    )
    up = f'up{{job!~"{_OWN}", namespace!~"{STORE}|{MLFLOW}"}}'
    yield Alert(
        "TargetDown",
        f"100 * count by (job, namespace) ({up} == 0) / count by (job, namespace) ({up}) > 10",
        15,
        "warning",
        '{{ printf "%.0f" $value }}% of the targets {{ $labels.job }} in {{ $labels.namespace }} do not answer',
    )
    yield Alert(
        "TextfileUnreadable",
        f'node_textfile_scrape_error{{job=~"{TEXTFILES}|{NODES}"}} > 0',
        15,
        "warning",
        "exporter {{ $labels.instance }} ({{ $labels.job }}) cannot read one of its textfiles: how timers, disks or"
        " certificates are may not be known",
    )
    if settings.monitoring.federate:
        other = settings.hpc.name if settings.hpc else "hpc"
        yield Alert(
            "FederationDown",
            f'up{{job="{federated(other)}"}} == 0',
            15,
            "warning",
            f"Prometheus of cluster {other} does not answer: its half of the dashboards is empty",
        )
