"""A stack with everything in it that is measured, and its rules."""

from __future__ import annotations

from functools import cache
from typing import Any

from cluster.monitoring.rules import Rule, by_topic
from cluster.render.values.gpu_operator import DCGM_JOB
from cluster.settings.model import Settings
from tests.render.stacks import machine, settings

STACK = "prod"
ADDRESS = "192.168.200.1"


def whole(**changes: Any) -> Settings:
    """Return the settings of a stack with everything on; ``changes`` replace sections."""
    wanted: dict[str, Any] = {
        "hosts": [
            {"name": "workstation", "exporters": {"node": f"{ADDRESS}:9100", "libvirt": f"{ADDRESS}:9177"}},
        ],
        "machines": [machine("control-1", "control-plane", 11), machine("gpu-1", "gpu-worker", 31, gpus=2)],
        "models": [
            {"name": "assistant", "uri": "s3://models/assistant/1", "version": "1", "gpus": 2, "max_replicas": 2}
            | {"standby": "cpu", "cpu_variant": {"uri": "s3://models/small/1", "runtime": "huggingface", "cores": 2}},
            {"name": "classifier", "uri": "models:/classifier/3", "version": "3", "runtime": "mlflow", "cores": 2},
        ],
        "database": {"instances": 3},
        "monitoring": {"federate": "prometheus.hpc.internal:9090", "textfiles": "/var/lib/prometheus/node-exporter"},
    }
    return settings(**wanted | changes)


@cache
def everything() -> dict[str, tuple[Rule, ...]]:
    """Return topic -> rules of that stack, and of one with the other object store: those that it alone has."""
    rules = by_topic(whole(), STACK, DCGM_JOB)
    other = by_topic(whole(object_store={"engine": "seaweedfs"}), STACK, DCGM_JOB)
    return {**rules, "store-seaweedfs": tuple(each for each in other["store"] if each not in rules["store"])}
