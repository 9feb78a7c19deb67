"""The cards, by NVIDIA's DCGM exporter. Its label ``node`` is ours: its own is Hostname or hostname, by its version."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.monitoring.names import STATE
from cluster.monitoring.rules.rule import Alert, Recorded, Rule
from cluster.settings.model import Settings

PLANNED = "inference_cloud:gpus_planned"
HOT_C = 85
TOO_HOT_C = 92
"""°C. NVIDIA's workstation and server cards slow down a few degrees above the second."""

IDLE_PERCENT = 5


def rules(settings: Settings, job: str) -> Iterable[Rule]:
    """Yield them; how many cards each node should show is recorded from the settings."""
    mine = f'{{job="{job}"}}'
    card = "GPU {{ $labels.gpu }} of {{ $labels.node }}"
    for machine in settings.machines:
        if machine.gpus:
            yield Recorded(PLANNED, f"vector({len(machine.gpus)})", {"node": machine.name})
    temperature = f"DCGM_FI_DEV_GPU_TEMP{mine}"
    yield Alert("GpuHot", f"{temperature} > {HOT_C}", 10, "warning", f"{card} has been at {{{{ $value }}}} °C")
    yield Alert(
        "GpuTooHot",
        f"{temperature} > {TOO_HOT_C}",
        1,
        "critical",
        f"{card} is at {{{{ $value }}}} °C and slows down, or switches itself off",
    )
    xid = f"DCGM_FI_DEV_XID_ERRORS{mine}"
    yield Alert(
        "GpuXidError",
        # the last XID stays until the exporter is started anew, and its code is a label: news is what was not there
        f"{xid} > 0 unless on (node, gpu, err_code) {xid} offset 1h",
        0,
        "critical",
        f"{card} reported XID {{{{ $labels.err_code }}}} ({{{{ $labels.err_msg }}}})",
    )
    used, free = f"DCGM_FI_DEV_FB_USED{mine}", f"DCGM_FI_DEV_FB_FREE{mine}"
    yield Alert(
        "GpuMemoryFull",
        f"{used} / ({used} + {free}) > 0.98",
        15,
        "warning",
        f"{card} has {{{{ $value | humanizePercentage }}}} of its memory in use; a model will fail to load",
    )
    yield Alert(
        "GpuMemoryBroken",
        f"DCGM_FI_DEV_ROW_REMAP_FAILURE{mine} > 0 or increase(DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS{mine}[1d]) > 0",
        0,
        "critical",
        f"{card} has memory that is broken: rows were replaced, or could not be",
    )
    ready = f'kube_node_status_condition{{job="{STATE}", condition="Ready", status="true"}} == 1'
    seen = f"count by (node) ({temperature})"
    yield Alert(
        "GpuLost",
        f"({PLANNED} - on (node) {seen} > 0 or {PLANNED} unless on (node) {seen}) and on (node) {ready}",
        10,
        "critical",
        "{{ $value }} of the GPUs of node {{ $labels.node }} do not answer: fallen off the bus, or the driver is down",
    )
    use = f"DCGM_FI_DEV_GPU_UTIL{mine}"
    yield Alert(
        "GpuIdle",
        f"max by (node, gpu, UUID) (max_over_time({use}[1d])) < {IDLE_PERCENT} and on (node, gpu) {use} offset 1d",
        60,
        "info",
        f"{card} is leased to this stack and did nothing for a day; others could train on it",
    )
