"""Grafana dashboards as pure data: what runs on the GPUs, how models answer, how the cluster stands, both clusters.

A dashboard is a title and a list of panels; uid and layout follow from them, so that a rerun changes nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

LABEL = {"grafana_dashboard": "1"}
"""Label by which Grafana's sidecar finds a dashboard's ConfigMap."""

FOLDER = "Inference cloud"
FOLDER_ANNOTATION = "grafana_folder"

_COLUMNS = 24
_WIDTH = 12
_HEIGHT = 8


@dataclass(frozen=True)
class Panel:
    """A time series: title, (expression, legend) pairs, Grafana's unit, and the value from which it is drawn red."""

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    limit: float | None = None


def gpus() -> tuple[str, list[Panel]]:
    """What the cards do; the targets are more than 70 % utilisation and no lack of memory."""
    by = "{{Hostname}} GPU {{gpu}}"
    memory = "DCGM_FI_DEV_FB_USED / (DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE)"
    return "GPUs", [
        Panel("GPU utilisation", (("DCGM_FI_DEV_GPU_UTIL", by),), "percent"),
        Panel("GPU memory in use", ((memory, by),), "percentunit", 0.98),
        Panel("Temperature", (("DCGM_FI_DEV_GPU_TEMP", by),), "celsius", 85),
        Panel("Power", (("DCGM_FI_DEV_POWER_USAGE", by),), "watt"),
        Panel("XID errors", (("DCGM_FI_DEV_XID_ERRORS", by),), "short", 1),
        Panel(
            "GPUs asked for by pods",
            (('sum(kube_pod_container_resource_requests{resource="nvidia_com_gpu"})', "asked"),),
        ),
    ]


def serving() -> tuple[str, list[Panel]]:
    """How models answer; the targets are P95 under 500 ms warm and more than 50 requests a second per GPU."""
    rate = "[5m]"
    p95 = f"histogram_quantile(0.95, sum by (le, model_name) (rate(vllm:e2e_request_latency_seconds_bucket{rate})))"
    first = f"histogram_quantile(0.95, sum by (le, model_name) (rate(vllm:time_to_first_token_seconds_bucket{rate})))"
    gateway = f"sum by (le, envoy_cluster_name) (rate(envoy_cluster_upstream_rq_time_bucket{rate}))"
    errors = f'sum by (envoy_cluster_name) (rate(envoy_cluster_upstream_rq_xx{{envoy_response_code_class="5"}}{rate}))'
    return "Model serving", [
        Panel("P95 of whole requests (LLM)", ((p95, "{{model_name}}"),), "s"),
        Panel("P95 to the first token", ((first, "{{model_name}}"),), "s", 0.5),
        Panel("P95 at the gateway", ((f"histogram_quantile(0.95, {gateway})", "{{envoy_cluster_name}}"),), "ms", 500),
        Panel(
            "Requests per second",
            ((f"sum by (envoy_cluster_name) (rate(envoy_cluster_upstream_rq_total{rate}))", "{{envoy_cluster_name}}"),),
            "reqps",
        ),
        Panel("Failed requests per second", ((errors, "{{envoy_cluster_name}}"),), "reqps", 1),
        Panel(
            "Requests running and waiting",
            (("vllm:num_requests_running", "running"), ("vllm:num_requests_waiting", "waiting")),
        ),
        Panel("Replicas", (('kube_deployment_status_replicas_available{namespace="models"}', "{{deployment}}"),)),
        Panel("KV cache in use", (("vllm:kv_cache_usage_perc", "{{model_name}}"),), "percentunit", 0.95),
    ]


def platform() -> tuple[str, list[Panel]]:
    """How nodes and stores stand."""
    cpu = '1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[5m]))'
    memory = "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes"
    volumes = "kubelet_volume_stats_used_bytes / kubelet_volume_stats_capacity_bytes"
    return "Platform", [
        Panel("CPU in use", ((cpu, "{{instance}}"),), "percentunit", 0.95),
        Panel("Memory in use", ((memory, "{{instance}}"),), "percentunit", 0.95),
        Panel("Volumes in use", ((volumes, "{{namespace}}/{{persistentvolumeclaim}}"),), "percentunit", 0.9),
        Panel("Object store, bytes in buckets", (("minio_bucket_usage_total_bytes", "{{bucket}}"),), "bytes"),
        Panel("PostgreSQL backends", (("sum by (datname) (cnpg_backends_total)", "{{datname}}"),)),
        Panel(
            "Pods that are not ready",
            (('sum by (namespace) (kube_pod_status_ready{condition="false"})', "{{namespace}}"),),
        ),
    ]


def comparison(other: str) -> tuple[str, list[Panel]]:
    """The cloud beside another cluster, whose series carry the label ``cluster``."""
    theirs, ours = f'cluster="{other}"', f'cluster!="{other}"'

    def both(expression: str) -> tuple[tuple[str, str], ...]:
        return ((expression.replace("@", ours), "cloud"), (expression.replace("@", theirs), other))

    return "Cloud and HPC", [
        Panel("CPU in use", both('1 - avg(rate(node_cpu_seconds_total{mode="idle",@}[5m]))'), "percentunit"),
        Panel(
            "Memory in use",
            both("1 - sum(node_memory_MemAvailable_bytes{@}) / sum(node_memory_MemTotal_bytes{@})"),
            "percentunit",
        ),
        Panel("GPU utilisation", both("avg(DCGM_FI_DEV_GPU_UTIL{@})"), "percent"),
        Panel("GPUs that report", both("count(DCGM_FI_DEV_GPU_UTIL{@})")),
        Panel("GPU memory in use", both("sum(DCGM_FI_DEV_FB_USED{@}) * 1024 * 1024"), "bytes"),
        Panel("GPU power", both("sum(DCGM_FI_DEV_POWER_USAGE{@})"), "watt"),
    ]


def render(dashboard: tuple[str, list[Panel]], datasource: str) -> str:
    """Return a dashboard's JSON; ``datasource`` is the uid of Grafana's Prometheus."""
    title, panels = dashboard
    return json.dumps(
        {
            "uid": slug(title),
            "title": title,
            "tags": ["inference-cloud"],
            "schemaVersion": 39,
            "editable": False,
            "refresh": "30s",
            "time": {"from": "now-6h", "to": "now"},
            "panels": [_panel(number, panel, datasource) for number, panel in enumerate(panels)],
        },
        indent=1,
        sort_keys=True,
    )


def slug(title: str) -> str:
    """Return a title as uid, file and resource name."""
    return "cloud-" + "-".join(title.lower().split())


def _panel(number: int, panel: Panel, datasource: str) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": datasource}
    column, row = (number * _WIDTH) % _COLUMNS, (number * _WIDTH) // _COLUMNS
    defaults: dict[str, Any] = {"unit": panel.unit}
    if panel.limit is not None:
        defaults["thresholds"] = {
            "mode": "absolute",
            "steps": [{"color": "green", "value": None}, {"color": "red", "value": panel.limit}],
        }
        defaults["custom"] = {"thresholdsStyle": {"mode": "line"}}
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": source,
        "gridPos": {"x": column, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "expr": expression, "legendFormat": legend, "datasource": source}
            for place, (expression, legend) in enumerate(panel.queries)
        ],
    }
