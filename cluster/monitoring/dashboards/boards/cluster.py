"""The Kubernetes cluster: nodes, what does not run, etcd, certificates, alerts."""

from __future__ import annotations

from cluster.monitoring.dashboards.panels import board, listing, number, series
from cluster.monitoring.names import API_SERVER, CERT_MANAGER, ETCD, NODES, STATE
from cluster.monitoring.rules.certificates import FILES
from cluster.monitoring.rules.nodes import PLANNED

_NODE = f'job="{NODES}"'
_STATE = f'job="{STATE}"'
_RATE = "[$__rate_interval]"


def board_() -> str:
    """Return the dashboard."""
    ready = f'kube_node_status_condition{{{_STATE}, condition="Ready", status="true"}}'
    cpu = f'1 - avg by (node) (rate(node_cpu_seconds_total{{{_NODE}, mode="idle"}}{_RATE}))'
    memory = f"1 - node_memory_MemAvailable_bytes{{{_NODE}}} / node_memory_MemTotal_bytes{{{_NODE}}}"
    root = f'{_NODE}, mountpoint="/"'
    disk = f"1 - node_filesystem_avail_bytes{{{root}}} / node_filesystem_size_bytes{{{root}}}"
    fsync = f"sum by (instance, le) (rate(etcd_disk_wal_fsync_duration_seconds_bucket{{{_ETCD}}}{_RATE}))"
    commit = f"sum by (instance, le) (rate(etcd_disk_backend_commit_duration_seconds_bucket{{{_ETCD}}}{_RATE}))"
    failed = f'sum by (verb) (rate(apiserver_request_total{{job="{API_SERVER}", code=~"5.."}}{_RATE}))'
    expires = f'certmanager_certificate_expiration_timestamp_seconds{{job="{CERT_MANAGER}"}}'
    return board(
        "Cluster",
        "Nodes, what does not run on them, etcd, certificates, and the alerts that fire.",
        [
            (
                "Now",
                [
                    number("Nodes planned", f"count({PLANNED})"),
                    number("Nodes Ready", f"sum({ready})", good_from=1),
                    number("Pods pending", f'sum(kube_pod_status_phase{{{_STATE}, phase="Pending"}})', bad_from=1),
                    number(
                        "Critical alerts",
                        'count(ALERTS{alertstate="firing", severity="critical"}) or vector(0)',
                        bad_from=1,
                    ),
                    number(
                        "Warnings", 'count(ALERTS{alertstate="firing", severity="warning"}) or vector(0)', bad_from=1
                    ),
                    number("Targets that do not answer", "count(up == 0) or vector(0)", bad_from=1),
                ],
            ),
            (
                "Nodes",
                [
                    series("CPU in use", [(cpu, "{{node}}")], "percentunit", 0.95),
                    series("Memory in use", [(memory, "{{node}}")], "percentunit", 0.95),
                    series("Disk in use", [(disk, "{{node}}")], "percentunit", 0.88, "at 90% the kubelet evicts pods"),
                    series("Time for a disk request", _latency(), "s", 0.1),
                    series("Network", _network(), "Bps"),
                    series(
                        "Pods that are not ready",
                        [
                            (
                                f'sum by (namespace) (kube_pod_status_ready{{{_STATE}, condition="false"}})',
                                "{{namespace}}",
                            )
                        ],
                        limit=1,
                    ),
                ],
            ),
            (
                "Control plane",
                [
                    series("etcd: P99 of fsync", [(f"histogram_quantile(0.99, {fsync})", "{{instance}}")], "s", 0.1),
                    series(
                        "etcd: P99 of commits", [(f"histogram_quantile(0.99, {commit})", "{{instance}}")], "s", 0.25
                    ),
                    series(
                        "etcd: database",
                        [(f"etcd_mvcc_db_total_size_in_bytes{{{_ETCD}}}", "{{instance}}")],
                        "bytes",
                    ),
                    series("API server: failed requests", [(failed, "{{verb}}")], "reqps", 1),
                ],
            ),
            (
                "Certificates and alerts",
                [
                    series(
                        "Certificates of cert-manager: left",
                        [(f"{expires} - time()", "{{namespace}}/{{name}}")],
                        "s",
                    ),
                    series(
                        "Certificates on control planes: left",
                        [(f'{FILES}{{job="{NODES}"}} - time()', "{{node}} {{path}}")],
                        "s",
                    ),
                    listing(
                        "Alerts that fire",
                        'ALERTS{alertstate="firing", severity!="none"}',
                        about="runbooks: docs/runbooks",
                    ),
                ],
            ),
        ],
    )


_ETCD = f'job="{ETCD}"'


def _latency() -> list[tuple[str, str]]:
    disks = f'{_NODE}, device=~"vd.+|sd.+|nvme.+"'
    queries = []
    for kind, done in (("read", "reads"), ("write", "writes")):
        spent = f"rate(node_disk_{kind}_time_seconds_total{{{disks}}}{_RATE})"
        queries.append(
            (
                f"{spent} / rate(node_disk_{done}_completed_total{{{disks}}}{_RATE})",
                f"{{{{node}}}} {{{{device}}}} {kind}",
            )
        )
    return queries


def _network() -> list[tuple[str, str]]:
    links = f'{_NODE}, device!~"lo|cali.+|veth.+|vxlan.+"'
    return [
        (
            f"sum by (node) (rate(node_network_{side}_bytes_total{{{links}}}{_RATE}))",
            f"{{{{node}}}} {side}",
        )
        for side in ("receive", "transmit")
    ]
