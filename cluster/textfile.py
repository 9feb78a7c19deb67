"""How the timers of ours last did, for Prometheus: files that a node exporter's textfile collector reads.

The metric names stand here, because the alerts look for them (https://github.com/prometheus/node_exporter, "Textfile
Collector"). Times are seconds since the epoch. A task is ``transfer``, ``backup``, or a part of one: ``backup/etcd``.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

LAST_RUN = "inference_cloud_task_last_run_timestamp_seconds"
LAST_SUCCESS = "inference_cloud_task_last_success_timestamp_seconds"
SUCCESS = "inference_cloud_task_success"
DURATION = "inference_cloud_task_duration_seconds"
MODEL_VERSIONS = "inference_cloud_model_versions"

_HELP = {
    LAST_RUN: "When the task last ended, well or not.",
    LAST_SUCCESS: "When the task last ended well.",
    SUCCESS: "1 if the last run ended well, else 0.",
    DURATION: "How long the last run took.",
    MODEL_VERSIONS: "Versions of models by the stage that they have reached, as the last transfer counted them.",
}
_LABELS = ("stack", "task")
_STAGE_LABELS = ("stack", "stage")


@dataclass(frozen=True)
class Run:
    """A run that has ended; ``ended`` in seconds since the epoch, now where it is left out.

    ``versions``: of models, how many have reached which stage; None where this run did not count them.
    """

    task: str
    ok: bool
    seconds: float
    ended: float | None = None
    versions: Mapping[str, int] | None = None


def tell(folder: Path, stack: str, run: Run) -> None:
    """Write how a task ended; when it last ended well, and what was counted, is kept from the file that is there.

    The file is replaced whole, so the exporter never reads half of one, and readable for all: it runs as another user.
    Raises OSError.
    """
    file = folder / f"inference-cloud-{stack}-{re.sub(r'[^a-z0-9-]', '-', run.task)}.prom"
    ended = time.time() if run.ended is None else run.ended
    before = _samples(file)
    values = {LAST_RUN: ended, SUCCESS: float(run.ok), DURATION: run.seconds}
    succeeded = [ended] if run.ok else [sample.value for sample in before if sample.name == LAST_SUCCESS]
    if succeeded:
        values[LAST_SUCCESS] = succeeded[0]
    counted = {sample.labels["stage"]: sample.value for sample in before if sample.name == MODEL_VERSIONS}
    stages = counted if run.versions is None else run.versions
    registry = CollectorRegistry()
    for name, value in values.items():
        Gauge(name, _HELP[name], _LABELS, registry=registry).labels(stack, run.task).set(value)
    if stages:
        gauge = Gauge(MODEL_VERSIONS, _HELP[MODEL_VERSIONS], _STAGE_LABELS, registry=registry)
        for stage, count in stages.items():
            gauge.labels(stack, stage).set(count)
    write_to_textfile(str(file), registry)
    file.chmod(0o644)


def _samples(file: Path) -> list[Sample]:
    """Return what the file says; nothing where it says nothing that can be read."""
    try:
        return [each for family in text_string_to_metric_families(file.read_text("utf-8")) for each in family.samples]
    except (OSError, ValueError):
        return []
