"""GPUs that two clusters define by agreement (``hpc.shares_gpus``): one runs at a time, and a lease says which."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.budget.demand import GpuDemand, VmDemand
from cluster.budget.findings import Finding
from cluster.budget.plan import HostPlan

FLIP = "cloudctl flip serve"
"""The command that stops the other cluster's VMs and gives their cards to ours."""

FLIP_BACK = "cloudctl flip train"
"""The way back."""


def lent(plan: HostPlan, demand: VmDemand, gpu: GpuDemand) -> list[Finding]:
    """Return the refusal for a GPU that the other cluster has the right to run on now, or nothing."""
    if gpu.address not in plan.limits.lent:
        return []
    message = (
        f"vm {demand.name} wants GPU {gpu.address} of host {plan.host}, whose lease {plan.limits.sharer} holds:"
        " its VMs may run on it now, ours may not"
    )
    return [Finding("gpu-leased", "refuse", plan.host, demand.name, message, f"take it back: {FLIP}")]


def autostart(plan: HostPlan, demand: VmDemand, gpu: GpuDemand, functions: Iterable[str]) -> list[Finding]:
    """Return a warning for each VM of the other cluster that the host's next start would start on our GPU."""
    sharing = {vm.name: vm for address in functions for vm in plan.holders.get(address, ())}
    risky = [vm for vm in sharing.values() if vm.autostart and plan.sleeps(vm)]
    return [
        Finding(
            "gpu-shared-autostart",
            "warn",
            plan.host,
            demand.name,
            f"{vm.name} (owner {vm.owner}) shares GPU {gpu.address} with vm {demand.name} and starts with host"
            f" {plan.host}: after a power cut it may be the one that gets the card",
            f"switch that off: virsh -c {plan.limits.uri} autostart --disable {vm.name}",
        )
        for vm in risky
    ]
