"""No host is asked for more cores, memory or disk than it has beside its reserve and what others keep running."""

from __future__ import annotations

from collections.abc import Iterator

from policies import verdict
from policies.hosts import HOST
from policies.model import Config, Plan, Policy, Resource, Violation
from policies.sizes import COMMAND, unannounced_size

NAME = "capacity"


def check(resource: Resource, plan: Plan, config: Config) -> Iterator[Violation]:
    """Judge a host with the VMs that it announces; hold each VM, and the command that sets its size, to that."""
    if resource.type == HOST:
        yield from verdict.announced(NAME, resource, config)
    elif resource.type == COMMAND:
        yield from unannounced_size(resource, plan)
    else:
        yield from verdict.unannounced(resource, plan)


def check_stack(plan: Plan, config: Config) -> Iterator[Violation]:
    """Judge every host with the sum of its planned VMs and volumes."""
    yield from verdict.whole(NAME, plan, config)


def _whole(description: str) -> dict[str, object]:
    return {"type": "integer", "minimum": 0, "description": f"{description}; left out: as the stack's settings say"}


POLICY = Policy(
    name=NAME,
    level="mandatory",
    description="Every host can carry the VMs that are planned on it, beside those that others keep running there.",
    types=verdict.TYPES | {COMMAND},
    needs=verdict.NEEDS,
    check=check,
    check_stack=check_stack,
    config={
        "reserve_cores": _whole("cores that stay with each host"),
        "reserve_memory_mib": _whole("memory that stays with each host, in MiB"),
        "reserve_disk_mib": _whole("disk that stays free in each pool, in MiB"),
        "min_nic_mbps": _whole("slowest network link that a host may have, in Mb/s"),
        "vcpus_per_core": {
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": 8,
            "description": "vCPUs that one physical core may carry; left out: as the stack's settings say",
        },
    },
)
