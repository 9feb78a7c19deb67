"""The requirement's performance targets: one table for the load test in the cluster and for ``cloudctl bench``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

WARM_P95_MS: Final = 500
REQUESTS_PER_SECOND_PER_GPU: Final = 50
REQUESTS_PER_SECOND_ON_CPU: Final = 20
"""Of a replica without a GPU; the requirement names no figure for it, this one is ours."""

FAILED_SHARE: Final = 0.01
COLD_START_S: Final = 10
GPU_UTILISATION_PERCENT: Final = 70
SCALE_OUT_S: Final = 120
POD_START_S: Final = 30
HEADROOM: Final = 1.2
"""Load over target: a rate can only be shown to be above the target by asking for more."""

FIGURES: Final = {
    "warm_p95_ms": WARM_P95_MS,
    "requests_per_second_per_gpu": REQUESTS_PER_SECOND_PER_GPU,
    "cold_start_s": COLD_START_S,
    "gpu_utilisation_percent": GPU_UTILISATION_PERCENT,
    "scale_out_s": SCALE_OUT_S,
    "pod_start_s": POD_START_S,
}
"""The requirement's own figures, by name."""


@dataclass(frozen=True)
class Target:
    """A figure's name in reports, its unit, the bound, and on which side of it a good figure lies."""

    name: str
    unit: str
    bound: float
    side: Literal["under", "over"]

    def met(self, value: float) -> bool:
        """Return whether a value keeps the target."""
        return value < self.bound if self.side == "under" else value > self.bound

    def told(self) -> str:
        """Return the target in words: ``< 500 ms``."""
        return f"{'<' if self.side == 'under' else '>'} {self.bound:g} {self.unit}"


def required_rate(gpus: int, replicas: int) -> int:
    """Return the requests a second that so many replicas, each with so many GPUs, must answer."""
    each = REQUESTS_PER_SECOND_PER_GPU * gpus if gpus else REQUESTS_PER_SECOND_ON_CPU
    return each * max(replicas, 1)


def table(rate: float) -> tuple[Target, ...]:
    """Return every target of a model that has to answer ``rate`` requests a second."""
    return (
        Target("p95", "ms", WARM_P95_MS, "under"),
        Target("rate", "req/s", rate, "over"),
        Target("failed", "%", FAILED_SHARE * 100, "under"),
        Target("gpu_utilisation", "%", GPU_UTILISATION_PERCENT, "over"),
        Target("cold_start", "s", COLD_START_S, "under"),
        Target("pod_start", "s", POD_START_S, "under"),
        Target("scale_out", "s", SCALE_OUT_S, "under"),
    )
