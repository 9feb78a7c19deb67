"""What was measured against the targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from cluster.loadtest.figures import Figure
from cluster.loadtest.samples import BUSY_PERCENT, Run
from cluster.loadtest.targets import Target


@dataclass(frozen=True)
class Verdict:
    """A target, what was measured, and how that compares; ``why`` says why it is unknown, or what it rests on."""

    target: Target
    value: float | None
    verdict: Literal["met", "missed", "unknown"]
    why: str
    asked: bool = True


def of_run(run: Run, asked: float | None, required: float) -> dict[str, Figure]:
    """Return the figures that a load alone gives: ``p95 rate failed``; ``asked`` is its rate, None: as fast as can be.

    A slow answer or a low rate says nothing of the model where the load tool had no processor left: those are unknown
    then, and so is the rate where fewer requests were sent than the target wants. Errors stay errors.
    """
    busy = run.processor_percent >= BUSY_PERCENT
    limit = run.tool_limit() or ""
    p95 = run.latency(95)
    none = "no request got a right answer"
    rate = Figure(None, limit) if busy else Figure(run.rate, limit)
    if asked is not None and asked <= required:
        rate = Figure(None, f"only {asked:g} a second were asked for", asked=False)
    return {
        "p95": Figure(None, limit) if busy else Figure(p95, none if p95 is None else ""),
        "rate": rate,
        "failed": Figure(run.failed_percent),
    }


def judge(targets: Sequence[Target], figures: Mapping[str, Figure]) -> list[Verdict]:
    """Return a verdict for each target that has a figure, in the table's order."""
    return [_verdict(target, figures[target.name]) for target in targets if target.name in figures]


def _verdict(target: Target, figure: Figure) -> Verdict:
    if figure.value is None:
        return Verdict(target, None, "unknown", figure.why, figure.asked)
    return Verdict(target, figure.value, "met" if target.met(figure.value) else "missed", figure.why, figure.asked)
