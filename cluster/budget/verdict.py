"""The verdict: what is planned against what is known, host by host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from cluster.budget.access import access, without_echo
from cluster.budget.capacity import capacity
from cluster.budget.demand import VmDemand
from cluster.budget.findings import Finding
from cluster.budget.gpus import gpus
from cluster.budget.hardware import hardware
from cluster.budget.limits import HostLimits
from cluster.budget.names import names
from cluster.budget.plan import HostPlan
from cluster.host.model import HostFacts


def judge(
    demands: Sequence[VmDemand], facts: Mapping[str, HostFacts], limits: Mapping[str, HostLimits], owner: str
) -> list[Finding]:
    """Return everything that is wrong with a plan; empty where it fits without a remark.

    ``owner`` is this stack's (``cloud/prod``): its own VMs in the facts are what the plan replaces, so they count
    nothing.
    A host without VMs in the plan is not looked at. The time is linear in VMs planned and defined.
    """
    by_host: dict[str, list[VmDemand]] = {}
    for demand in demands:
        by_host.setdefault(demand.host, []).append(demand)
    found: list[Finding] = []
    for host, planned in by_host.items():
        if host not in facts:
            found += [_no_host(demand, facts) for demand in planned]
            continue
        plan = HostPlan(facts[host], planned, limits.get(host) or HostLimits(), owner, host)
        told = [*hardware(plan), *names(plan), *capacity(plan), *gpus(plan)]
        found += [*access(plan), *without_echo(plan, told)]
    return found + list(_twins({host: facts[host] for host in by_host if host in facts}))


def _twins(facts: Mapping[str, HostFacts]) -> Iterator[Finding]:
    """Yield a refusal for each two hosts that are one machine: all that it has would be planned twice."""
    for one, other in combinations(facts, 2):
        if same := sorted(set(facts[one].machine) & set(facts[other].machine)):
            message = (
                f"hosts {one} and {other} are one machine ({same[-1]}): its memory and GPUs would be given away twice"
            )
            remedy = f"keep one of them in hosts, and name it in machines[].host of the VMs of {other}"
            yield Finding("host-twice", "refuse", other, None, message, remedy)


def _no_host(demand: VmDemand, facts: Mapping[str, HostFacts]) -> Finding:
    known = ", ".join(sorted(facts)) or "none"
    return Finding(
        "host-unknown",
        "refuse",
        demand.host,
        demand.name,
        f"vm {demand.name} is planned on host {demand.host}, of which nothing is known (known hosts: {known})",
        f"set machines[{demand.name}].host to one of these, or add the host to hosts",
    )
