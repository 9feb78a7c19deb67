"""Every GPU of the plan exists, is good enough, and goes to one VM only, of this stack or of any other cluster."""

from __future__ import annotations

from collections.abc import Iterator

from policies import verdict
from policies.hosts import HOST
from policies.model import Config, Plan, Policy, Resource, Violation

NAME = "gpu-allocation"


def check(resource: Resource, plan: Plan, config: Config) -> Iterator[Violation]:
    """Judge the GPUs that a host's announced VMs want; hold each VM's PCI functions to what was announced."""
    if resource.type == HOST:
        yield from verdict.announced(NAME, resource, config)
    else:
        yield from verdict.unannounced_gpus(resource, plan)


def check_stack(plan: Plan, config: Config) -> Iterator[Violation]:
    """Judge the PCI functions that the planned VMs take, read from their own XML."""
    yield from verdict.whole(NAME, plan, config)


POLICY = Policy(
    name=NAME,
    level="mandatory",
    description="Each GPU of the plan is there, new enough, free, and given to one VM.",
    types=verdict.TYPES,
    needs=verdict.NEEDS,
    check=check,
    check_stack=check_stack,
    config={
        "min_compute_capability": {
            "type": "string",
            "pattern": r"^\d+\.\d+$",
            "description": "oldest CUDA compute capability that a GPU may have; left out: 7.0",
        },
        "min_gpu_memory_mib": {
            "type": "integer",
            "minimum": 0,
            "description": "GPU memory below which a remark is made, in MiB; left out: that of a 24 GB card",
        },
    },
)
