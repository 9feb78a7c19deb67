"""The cards: what they do, and how they are. The requirement's target is more than 70 % in use."""

from __future__ import annotations

from cluster.loadtest.targets import GPU_UTILISATION_PERCENT
from cluster.monitoring.dashboards.panels import board, number, series
from cluster.monitoring.names import STATE
from cluster.monitoring.rules.gpus import HOT_C, PLANNED
from cluster.render.values.gpu_operator import DCGM_JOB

_JOB = f'{{job="{DCGM_JOB}"}}'
_BY = "{{node}} GPU {{gpu}}"


def board_() -> str:
    """Return the dashboard."""
    used, free = f"DCGM_FI_DEV_FB_USED{_JOB}", f"DCGM_FI_DEV_FB_FREE{_JOB}"
    asked = f'kube_pod_container_resource_requests{{job="{STATE}", resource="nvidia_com_gpu"}}'
    return board(
        "GPUs",
        "What the cards do, and how they are.",
        [
            (
                "Now",
                [
                    number("GPUs planned", f"sum({PLANNED})"),
                    number("GPUs that answer", f"count(DCGM_FI_DEV_GPU_TEMP{_JOB})", good_from=1),
                    number("GPUs asked for by pods", f"sum({asked}) or vector(0)"),
                    number("In use", f"avg(DCGM_FI_DEV_GPU_UTIL{_JOB})", "percent", good_from=GPU_UTILISATION_PERCENT),
                    number("Memory in use", f"sum({used}) / (sum({used}) + sum({free}))", "percentunit", bad_from=0.98),
                    number("Hottest", f"max(DCGM_FI_DEV_GPU_TEMP{_JOB})", "celsius", bad_from=HOT_C),
                ],
            ),
            (
                "Work",
                [
                    series(
                        "In use",
                        [(f"DCGM_FI_DEV_GPU_UTIL{_JOB}", _BY)],
                        "percent",
                        about=f"the target is more than {GPU_UTILISATION_PERCENT} %",
                    ),
                    series("Memory in use", [(f"{used} / ({used} + {free})", _BY)], "percentunit", 0.98),
                    series("Tensor cores in use", [(f"DCGM_FI_PROF_PIPE_TENSOR_ACTIVE{_JOB}", _BY)], "percentunit"),
                    series("Memory interface in use", [(f"DCGM_FI_PROF_DRAM_ACTIVE{_JOB}", _BY)], "percentunit"),
                    series(
                        "PCI Express",
                        [
                            (f"DCGM_FI_PROF_PCIE_TX_BYTES{_JOB}", f"{_BY} sends"),
                            (f"DCGM_FI_PROF_PCIE_RX_BYTES{_JOB}", f"{_BY} receives"),
                        ],
                        "Bps",
                    ),
                    series("Power", [(f"DCGM_FI_DEV_POWER_USAGE{_JOB}", _BY)], "watt"),
                ],
            ),
            (
                "Health",
                [
                    series("Temperature", [(f"DCGM_FI_DEV_GPU_TEMP{_JOB}", _BY)], "celsius", HOT_C),
                    series("Last XID", [(f"DCGM_FI_DEV_XID_ERRORS{_JOB}", f"{_BY} {{{{err_msg}}}}")], limit=1),
                    series(
                        "Clock", [(f"DCGM_FI_DEV_SM_CLOCK{_JOB}", _BY)], "MHz", about="drops when a card is too hot"
                    ),
                    series(
                        "Rows of memory replaced",
                        [
                            (f"DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS{_JOB}", f"{_BY} uncorrectable"),
                            (f"DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS{_JOB}", f"{_BY} correctable"),
                        ],
                        limit=1,
                    ),
                ],
            ),
        ],
    )
