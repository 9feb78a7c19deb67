"""Which tasks a stack does without, and why; the program's outputs and the command line agree on it."""

from __future__ import annotations

from cluster.phases import TASKS
from cluster.settings.model import Settings


def left_out(settings: Settings) -> dict[str, str]:
    """Return task id -> why a stack of these settings does not carry it out."""
    found: dict[str, str] = {}
    if not settings.gpu_count:
        found |= {"CLOUD-1.2": "no GPUs", "CLOUD-2.2": "no GPUs"}
    elif not settings.images.gpu_worker:
        found["CLOUD-1.2"] = "images.gpu_worker is off"
    if not settings.models:
        found |= {"CLOUD-5.2": "no models", "CLOUD-6.3": "no models"}
    if settings.transfer is None:
        found["CLOUD-6.1"] = "transfer is not set"
    if settings.monitoring.federate is None:
        found["CLOUD-6.2"] = "monitoring.federate is not set"
    return found


def tasks_of(settings: Settings) -> list[str]:
    """Return the ids of the tasks that a stack of these settings carries out, in order."""
    out = left_out(settings)
    return [task for task in TASKS if task not in out]
