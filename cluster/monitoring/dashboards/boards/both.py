"""The two clusters side by side, told apart by the label ``cluster``: a line for each in every panel.

The hosts' own measurements are left out: the nodes of both clusters are VMs on them, and would count twice.
"""

from __future__ import annotations

from cluster.monitoring.dashboards.panels import board, series
from cluster.monitoring.names import HOST_NODE

_NODES = f'job!="{HOST_NODE}"'
_RATE = "[$__rate_interval]"
_BY = "{{cluster}}"


def board_() -> str:
    """Return the dashboard."""
    idle = f'rate(node_cpu_seconds_total{{{_NODES}, mode="idle"}}{_RATE})'
    cores = f'count by (cluster) (node_cpu_seconds_total{{{_NODES}, mode="idle"}})'
    left, size = f"node_memory_MemAvailable_bytes{{{_NODES}}}", f"node_memory_MemTotal_bytes{{{_NODES}}}"
    memory = f"1 - sum by (cluster) ({left}) / sum by (cluster) ({size})"
    return board(
        "Both clusters",
        "The cloud and the HPC cluster, which share the hosts: who uses what. The HPC side is federated.",
        [
            (
                "Nodes",
                [
                    series("CPU in use", [(f"1 - avg by (cluster) ({idle})", _BY)], "percentunit"),
                    series("Memory in use", [(memory, _BY)], "percentunit"),
                    series("Cores", [(cores, _BY)]),
                    series("Load", [(f"sum by (cluster) (node_load1{{{_NODES}}})", _BY)]),
                ],
            ),
            (
                "GPUs",
                [
                    series("In use", [("avg by (cluster) (DCGM_FI_DEV_GPU_UTIL)", _BY)], "percent"),
                    series("GPUs that answer", [("count by (cluster) (DCGM_FI_DEV_GPU_UTIL)", _BY)]),
                    series("Memory in use", [("sum by (cluster) (DCGM_FI_DEV_FB_USED) * 1024 * 1024", _BY)], "bytes"),
                    series("Power", [("sum by (cluster) (DCGM_FI_DEV_POWER_USAGE)", _BY)], "watt"),
                    series("Hottest", [("max by (cluster) (DCGM_FI_DEV_GPU_TEMP)", _BY)], "celsius", 85),
                ],
            ),
        ],
    )
