"""The gate: is a version as quick and as sound as the one that runs? Numbers in, a verdict out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.promotion.model import Gate, Sample

P95 = 0.95


@dataclass(frozen=True)
class Verdict:
    """``reasons`` is empty where the version may serve. P95 in milliseconds, None where nothing answered."""

    reasons: tuple[str, ...]
    p95_ms: float | None
    running_p95_ms: float | None
    failed: float

    @property
    def passed(self) -> bool:
        """Whether the version may serve."""
        return not self.reasons

    def __str__(self) -> str:
        was = "none" if self.running_p95_ms is None else f"{self.running_p95_ms:.1f} ms"
        now = "none" if self.p95_ms is None else f"{self.p95_ms:.1f} ms"
        return f"P95 {now} (running version {was}), {self.failed:.1%} failed"


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile: the least value that ``share`` of all do not exceed; ValueError for none."""
    if not values:
        raise ValueError("no values")
    return sorted(values)[max(math.ceil(share * len(values)), 1) - 1]


def judge(gate: Gate, candidate: Sequence[Sample], running: Sequence[Sample]) -> Verdict:
    """Compare two versions' samples. Without any of a running version only errors and their number are looked at.

    A failed request counts as an error and not as a time: a version that fails at once is not quick.
    """
    p95, before = _p95(candidate), _p95(running)
    failed, failed_before = _failed(candidate), _failed(running)
    reasons = []
    if len(candidate) < gate.samples:
        reasons.append(f"only {len(candidate)} of {gate.samples} requests were made")
    if candidate and failed > failed_before + gate.errors:
        reasons.append(f"{failed:.1%} of its requests failed, of the running version's {failed_before:.1%}")
    if p95 is not None and before is not None and p95 > before * gate.ratio + gate.slack_ms:
        limit = before * gate.ratio + gate.slack_ms
        reasons.append(f"P95 {p95:.1f} ms is above {limit:.1f} ms ({before:.1f} x {gate.ratio:g} + {gate.slack_ms:g})")
    return Verdict(tuple(reasons), p95, before, failed)


def _p95(samples: Sequence[Sample]) -> float | None:
    times = [sample.ms for sample in samples if sample.ok]
    return percentile(times, P95) if times else None


def _failed(samples: Sequence[Sample]) -> float:
    return sum(not sample.ok for sample in samples) / len(samples) if samples else 0.0
