"""A refused plan as an exception: one class per kind of refusal, and a group where there are several kinds.

``except PlanRefusedError`` catches every refusal. ``except InsufficientResourcesError`` (and the like) catches a plan
refused for that reason alone; a plan refused for several is a MixedPlanRefusedError, an ExceptionGroup that ``except*``
takes apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Self

from cluster.budget.findings import Finding, refusals


class PlanRefusedError(Exception):
    """A plan that is refused before anything changes; ``findings`` holds every reason."""

    findings: tuple[Finding, ...]

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__(_listed(findings))
        self.findings = tuple(findings)

    def __reduce__(self) -> tuple[type[Self], tuple[tuple[Finding, ...]]]:
        return type(self), (self.findings,)


class InsufficientResourcesError(PlanRefusedError):
    """The host has too little cores, memory, disk or GPUs for the plan."""


class GPUAlreadyAllocatedError(PlanRefusedError):
    """A GPU of the plan belongs to another VM, or to two VMs of the plan."""


class IOMMUConfigurationError(PlanRefusedError):
    """A GPU cannot be passed to a VM: no IOMMU, or a group that VFIO cannot move as planned."""


class QuorumLossError(PlanRefusedError):
    """More control planes would go at once than etcd bears."""


class GPURolloutError(PlanRefusedError):
    """Several GPU workers would get another image at once."""


class HostNotReadyError(PlanRefusedError):
    """The host lacks what no sum can mend: virtualisation, a link, a pool, a card, or a fact that is not known."""


class MixedPlanRefusedError(ExceptionGroup[PlanRefusedError], PlanRefusedError):
    """A plan refused for reasons of more than one kind; ``exceptions`` holds one error per kind."""

    def __new__(cls, errors: Sequence[PlanRefusedError]) -> Self:
        group = super().__new__(cls, "plan refused", errors)
        group.findings = tuple(finding for error in errors for finding in error.findings)
        return group

    def __init__(self, errors: Sequence[PlanRefusedError]) -> None:
        """Take one error per kind; the message lists the findings of all."""

    def derive(self, errors: Sequence[PlanRefusedError], /) -> MixedPlanRefusedError:  # type: ignore[override]
        """Return a group of the same kind of a part of the errors, as ``except*`` needs."""
        return MixedPlanRefusedError(errors)

    def __str__(self) -> str:
        return _listed(self.findings)

    def __reduce__(self) -> tuple[type[Self], tuple[tuple[PlanRefusedError, ...]]]:  # type: ignore[override]
        return type(self), (self.exceptions,)  # type: ignore[return-value]


_KINDS: dict[str, type[PlanRefusedError]] = {
    "insufficient-cpu": InsufficientResourcesError,
    "insufficient-ram": InsufficientResourcesError,
    "insufficient-disk": InsufficientResourcesError,
    "insufficient-gpus": InsufficientResourcesError,
    "gpu-held": GPUAlreadyAllocatedError,
    "gpu-duplicate": GPUAlreadyAllocatedError,
    "gpu-leased": GPUAlreadyAllocatedError,
    "flip-open": GPUAlreadyAllocatedError,
    "quorum": QuorumLossError,
    "gpu-rollout": GPURolloutError,
    "iommu-off": IOMMUConfigurationError,
    "gpu-group": IOMMUConfigurationError,
    "iommu-group-changed": IOMMUConfigurationError,
}


def refuse(findings: Iterable[Finding]) -> None:
    """Raise PlanRefusedError, or the class below it that fits, if any finding refuses; warnings alone pass."""
    kinds: dict[type[PlanRefusedError], list[Finding]] = {}
    for finding in refusals(findings):
        kinds.setdefault(_KINDS.get(finding.code, HostNotReadyError), []).append(finding)
    errors = [kind(found) for kind, found in kinds.items()]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise MixedPlanRefusedError(errors)


def _listed(findings: Sequence[Finding]) -> str:
    if len(findings) == 1:
        return f"plan refused: {findings[0]}"
    return "\n".join([f"plan refused, {len(findings)} reasons:", *(f"  {finding}" for finding in findings)])
