"""What a stack does without follows from its settings alone, each task with its reason."""

from __future__ import annotations

from typing import Any

import pytest

from cluster import phases, planned
from cluster.settings import load
from tests.cloudctl.conftest import SETTINGS

MODEL = {"name": "m", "uri": "s3://models/m/1", "version": "1", "runtime": "mlserver"}
FULL: dict[str, Any] = {
    **SETTINGS,
    "inference-cloud:models": [MODEL],
    "inference-cloud:transfer": {"source": "/beegfs/models"},
    "inference-cloud:monitoring": {"federate": "prometheus.hpc:9090"},
}


def left_out(**changes: Any) -> dict[str, str]:
    raw = {key.split(":")[1]: value for key, value in FULL.items()}
    raw |= changes
    settings = load.from_mapping({key: value for key, value in raw.items() if value is not None}, "test", sealed=False)
    found = planned.left_out(settings)
    assert planned.tasks_of(settings) == [task for task in phases.TASKS if task not in found]
    return found


def test_a_full_stack_does_everything() -> None:
    assert left_out() == {}


@pytest.mark.parametrize(
    ("changes", "tasks"),
    [
        ({"models": None}, {"CLOUD-5.2", "CLOUD-6.3"}),
        ({"transfer": None}, {"CLOUD-6.1"}),
        ({"monitoring": None}, {"CLOUD-6.2"}),
        ({"images": {"gpu_worker": False}}, {"CLOUD-1.2"}),
        ({"machines": FULL["inference-cloud:machines"][:1]}, {"CLOUD-1.2", "CLOUD-2.2"}),
    ],
)
def test_what_is_not_set_is_left_out_with_its_reason(changes: dict[str, Any], tasks: set[str]) -> None:
    found = left_out(**changes)
    assert set(found) == tasks
    assert all(found.values())
