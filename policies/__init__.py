"""The policy pack: rules that a plan must keep to, looked at from outside the program that makes it."""

from __future__ import annotations

from typing import NamedTuple

from policies import capacity, gpu_allocation, images, iommu, models, nodeports, secret_values, versions, workloads
from policies.model import Policy

NAME = "inference-cloud"
VERSION = "1.0.0"

POLICIES: tuple[Policy, ...] = tuple(
    module.POLICY
    for module in (capacity, gpu_allocation, iommu, versions, secret_values, images, workloads, nodeports, models)
)


class Entry(NamedTuple):
    """A policy as a table of documentation shows it."""

    name: str
    level: str
    description: str
    settings: tuple[str, ...]


def catalogue() -> list[Entry]:
    """Return every policy with its level, its description and the names of its thresholds, in the pack's order."""
    return [Entry(policy.name, policy.level, policy.description, tuple(policy.config)) for policy in POLICIES]
