"""Demand against facts: findings with remedies. The program, the policy pack and the command line all use this."""

from __future__ import annotations

from cluster.budget.capacity import Sum, sums
from cluster.budget.changes import Change
from cluster.budget.demand import GpuDemand, VmDemand, demand_from_props, demand_props, demands_from
from cluster.budget.errors import (
    GPUAlreadyAllocatedError,
    HostNotReadyError,
    InsufficientResourcesError,
    IOMMUConfigurationError,
    MixedPlanRefusedError,
    PlanRefusedError,
    refuse,
)
from cluster.budget.findings import Finding, refusals, warnings
from cluster.budget.gpus import functions_of, group_functions, usable_gpus
from cluster.budget.identity import accept_command, identity
from cluster.budget.limits import HostLimits, limits_from, limits_from_props, limits_props, sharer_of
from cluster.budget.nearest import Also, NearestFit, nearest_fit
from cluster.budget.plan import HostPlan
from cluster.budget.sequential import Stop, enough_to_stop
from cluster.budget.supply import facts_from_props, supply_props
from cluster.budget.verdict import judge

__all__ = [
    "Also",
    "Change",
    "Finding",
    "GPUAlreadyAllocatedError",
    "GpuDemand",
    "HostLimits",
    "HostNotReadyError",
    "HostPlan",
    "IOMMUConfigurationError",
    "InsufficientResourcesError",
    "MixedPlanRefusedError",
    "NearestFit",
    "PlanRefusedError",
    "Stop",
    "Sum",
    "VmDemand",
    "accept_command",
    "demand_from_props",
    "demand_props",
    "demands_from",
    "enough_to_stop",
    "facts_from_props",
    "functions_of",
    "group_functions",
    "identity",
    "judge",
    "limits_from",
    "limits_from_props",
    "limits_props",
    "nearest_fit",
    "refusals",
    "refuse",
    "sharer_of",
    "sums",
    "supply_props",
    "usable_gpus",
    "warnings",
]
