"""How the timers of ours last did, for Prometheus: files that a node exporter's textfile collector reads.

The metric names stand here, because the alerts look for them (https://github.com/prometheus/node_exporter, "Textfile
Collector"). Times are seconds since the epoch. A task is ``transfer``, ``backup``, or a part of one: ``backup/etcd``.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile
from prometheus_client.parser import text_string_to_metric_families

LAST_RUN = "inference_cloud_task_last_run_timestamp_seconds"
LAST_SUCCESS = "inference_cloud_task_last_success_timestamp_seconds"
SUCCESS = "inference_cloud_task_success"
DURATION = "inference_cloud_task_duration_seconds"

_HELP = {
    LAST_RUN: "When the task last ended, well or not.",
    LAST_SUCCESS: "When the task last ended well.",
    SUCCESS: "1 if the last run ended well, else 0.",
    DURATION: "How long the last run took.",
}
_LABELS = ("stack", "task")


@dataclass(frozen=True)
class Run:
    """A run that has ended; ``ended`` in seconds since the epoch, now where it is left out."""

    task: str
    ok: bool
    seconds: float
    ended: float | None = None


def tell(folder: Path, stack: str, run: Run) -> None:
    """Write how a task ended; when it last ended well is kept from the file that is there. Raises OSError.

    The file is replaced whole, so the exporter never reads half of one, and readable for all: it runs as another user.
    """
    file = folder / f"inference-cloud-{stack}-{re.sub(r'[^a-z0-9-]', '-', run.task)}.prom"
    ended = time.time() if run.ended is None else run.ended
    values = {LAST_RUN: ended, SUCCESS: float(run.ok), DURATION: run.seconds}
    succeeded = ended if run.ok else _before(file)
    if succeeded is not None:
        values[LAST_SUCCESS] = succeeded
    registry = CollectorRegistry()
    for name, value in values.items():
        Gauge(name, _HELP[name], _LABELS, registry=registry).labels(stack, run.task).set(value)
    write_to_textfile(str(file), registry)
    file.chmod(0o644)


def _before(file: Path) -> float | None:
    """Return when the task last ended well, as the file says; None where it says nothing that can be read."""
    try:
        families = list(text_string_to_metric_families(file.read_text("utf-8")))
    except (OSError, ValueError):
        return None
    samples = [sample for family in families for sample in family.samples if sample.name == LAST_SUCCESS]
    return samples[0].value if samples else None
