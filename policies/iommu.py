"""A GPU moves to a VM with its whole IOMMU group, and with nothing that the host needs."""

from __future__ import annotations

from collections.abc import Iterator

from policies import verdict
from policies.hosts import HOST
from policies.model import Config, Plan, Policy, Resource, Violation

NAME = "iommu"


def check(resource: Resource, plan: Plan, config: Config) -> Iterator[Violation]:
    """Judge the IOMMU groups of the GPUs that a host's announced VMs want."""
    yield from verdict.announced(NAME, resource, config)


def check_stack(plan: Plan, config: Config) -> Iterator[Violation]:
    """Judge the groups of the PCI functions that the planned VMs take."""
    yield from verdict.whole(NAME, plan, config)


POLICY = Policy(
    name=NAME,
    level="mandatory",
    description="GPUs are passed with their whole IOMMU group, on hosts whose IOMMU is on.",
    types=frozenset({HOST}),
    needs=verdict.NEEDS | verdict.TYPES,
    check=check,
    check_stack=check_stack,
)
