"""The cluster's nodes: there, Ready, with room on their disks. What else they can lack, the chart's rules tell."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.monitoring.names import NODES, STATE
from cluster.monitoring.rules.host import disk_latency
from cluster.monitoring.rules.rule import DAY, Alert, Recorded, Rule
from cluster.settings.model import Settings

PLANNED = "inference_cloud:node_planned"

_STATE = f'job="{STATE}"'
_ROOT = f'job="{NODES}", mountpoint="/"'


def rules(settings: Settings) -> Iterable[Rule]:
    """Yield them; which nodes there should be is recorded from the settings."""
    for machine in settings.machines:
        yield Recorded(PLANNED, "vector(1)", {"node": machine.name})
    if settings.machines:
        yield Alert(
            "NodeMissing",
            f"{PLANNED} unless on (node) kube_node_info{{{_STATE}}} and on () count(kube_node_info{{{_STATE}}}) > 0",
            30,
            "warning",
            "node {{ $labels.node }} of the settings is not in the cluster",
        )
    cordoned = f"kube_node_spec_unschedulable{{{_STATE}}} == 1"
    yield Alert(
        "NodeNotReady",
        # a node that is cordoned is somebody's work: an upgrade, a driver, a flip
        f'kube_node_status_condition{{{_STATE}, condition="Ready", status="true"}} == 0 unless on (node) {cordoned}',
        5,
        "critical",
        "node {{ $labels.node }} is not Ready",
    )
    free, size = f"node_filesystem_avail_bytes{{{_ROOT}}}", f"node_filesystem_size_bytes{{{_ROOT}}}"
    yield Alert(
        "NodeDiskFilling",
        # at a tenth the kubelet begins to evict pods (its default, nodefs.available<10%); local volumes lie there, too
        f"predict_linear({free}[6h], {4 * DAY}) < 0.1 * {size} and {free} / {size} < 0.5",
        60,
        "warning",
        "the disk of node {{ $labels.node }} will be too full for pods within four days if it goes on like this",
    )
    yield Alert(
        "NodeDiskFull",
        f"{free} / {size} < 0.12",
        10,
        "critical",
        "the disk of node {{ $labels.node }} has {{ $value | humanizePercentage }} left; at 10% its pods are evicted",
    )
    yield Alert(
        "NodeDiskSlow",
        disk_latency(f'job="{NODES}", device=~"vd.+|sd.+|nvme.+"'),
        15,
        "warning",
        "disk {{ $labels.device }} of node {{ $labels.node }} takes {{ $value | humanizeDuration }} for a request",
    )
