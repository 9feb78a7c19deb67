"""The budget's verdict on planned resources, for the three policies that share it: capacity, GPU allocation, IOMMU.

Three looks at the same plan. A Host is judged when it is registered, with the VMs that it announces: nothing is made
yet. Each VM is then held to what was announced, so that an update without preview cannot make what was not judged. At
the end the whole plan is judged by what its resources really ask for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, replace

from cluster.budget import Finding, HostLimits, VmDemand, functions_of, judge
from policies.demand import DOMAIN, demands_of, vm_demand
from policies.hosts import HOST, MACHINE, HostUnreadableError, Supply, UnreadableError, host_of, supplies, supply_of
from policies.model import Config, Plan, Resource, Violation
from policies.sizes import COMMAND, VOLUME, keeps_size

TYPES = frozenset({HOST, DOMAIN})
NEEDS = frozenset({MACHINE, VOLUME, COMMAND})

_GPU_CODES = frozenset(
    {
        "insufficient-gpus",
        "gpu-unknown",
        "gpu-duplicate",
        "gpu-held",
        "gpu-leased",
        "gpu-shared-autostart",
        "gpu-too-old",
        "gpu-memory",
    }
)
_IOMMU_CODES = frozenset({"iommu-off", "gpu-group"})
_LIMIT_NAMES = frozenset(field.name for field in fields(HostLimits))


def policy_of(finding: Finding) -> str:
    """Return the policy that a finding belongs to; what no other claims is capacity's, so that none is lost."""
    if finding.code in _IOMMU_CODES or (finding.code == "fact-unknown" and "IOMMU" in finding.message):
        return "iommu"
    of_gpu = finding.code in _GPU_CODES or (finding.code == "fact-unknown" and "GPU" in finding.message)
    return "gpu-allocation" if of_gpu else "capacity"


def announced(policy: str, host: Resource, config: Config) -> Iterator[Violation]:
    """Judge the VMs that a Host announces, before any of them is made."""
    try:
        supply = supply_of(host)
    except UnreadableError as error:
        if policy == "capacity":
            yield Violation(str(error))
        return
    for finding in _judged(supply, supply.demands, config):
        if policy_of(finding) == policy:
            yield _violation(finding, host.urn)


def whole(policy: str, plan: Plan, config: Config) -> Iterator[Violation]:
    """Judge what the planned VMs and volumes ask for together; what was said of the announcement is not said again."""
    demands = demands_of(plan)
    if policy == "capacity":
        for urn, reason in demands.unreadable:
            yield Violation(reason, urn)
    for supply in supplies(plan):
        if not supply.resource.planned:
            continue  # a run that leaves this host alone (--target) makes nothing on it
        before = {_subject(finding) for finding in _judged(supply, supply.demands, config)}
        for finding in _judged(supply, demands.by_host.get(supply.name, ()), config):
            if policy_of(finding) == policy and _subject(finding) not in before:
                yield _violation(finding, supply.resource.urn)


def unannounced(domain: Resource, plan: Plan) -> Iterator[Violation]:
    """Report a VM that asks its host for cores or memory that were not judged when the host was registered.

    One that stands keeps what it has until its size command changes it: that is judged in its place.
    """
    try:
        supply = host_of(domain, plan)
        asked = vm_demand(domain, supply)
    except HostUnreadableError:
        return
    except UnreadableError as error:
        yield Violation(str(error))
        return
    expected = supply.announced.get(asked.name)
    if expected is None:
        yield Violation(
            f"vm {asked.name} is not in the plan of host {supply.name}, which was judged without it; {_REMEDY}"
        )
    elif not keeps_size(domain) and (asked.cores, asked.memory_mib) != (expected.cores, expected.memory_mib):
        yield Violation(
            f"vm {asked.name} asks for {_size(asked)}, but host {supply.name} was judged with {_size(expected)};"
            f" {_REMEDY}"
        )


def unannounced_gpus(domain: Resource, plan: Plan) -> Iterator[Violation]:
    """Report a VM that takes PCI functions other than those judged when its host was registered."""
    try:
        supply = host_of(domain, plan)
        asked = vm_demand(domain, supply)
    except UnreadableError:
        return  # capacity says it
    taken = {
        address for gpu in asked.gpus for address in (gpu.address, *(gpu.siblings if gpu.siblings != "auto" else ()))
    }
    expected = supply.announced.get(asked.name)
    if expected and any(supply.facts.gpu(gpu.address) is None for gpu in expected.gpus):
        return  # the announcement was refused for it
    agreed = {address for gpu in expected.gpus for address in functions_of(supply.facts, gpu)} if expected else set()
    if taken != agreed and (expected or taken):
        yield Violation(
            f"vm {asked.name} takes {_addresses(taken)} from host {supply.name}, which was judged with"
            f" {_addresses(agreed)}; {_REMEDY}"
        )


_REMEDY = f"give {HOST} a plan with the same VM (prop plan)"


def _judged(supply: Supply, demands: Iterable[VmDemand], config: Config) -> tuple[Finding, ...]:
    limits = _with_config(supply.limits, config)
    return tuple(judge(tuple(demands), {supply.name: supply.facts}, {supply.name: limits}, supply.owner))


def _with_config(limits: HostLimits, config: Mapping[str, object]) -> HostLimits:
    """Return the limits with the pack's thresholds in place of the stack's; integers come as floats from the engine."""
    own: dict[str, object] = {}
    for name, value in config.items():
        if name in _LIMIT_NAMES:
            own[name] = int(value) if isinstance(value, float) and name != "vcpus_per_core" else value
    return replace(limits, **own) if own else limits  # type: ignore[arg-type]


def _violation(finding: Finding, urn: str) -> Violation:
    return Violation(str(finding), urn, "advisory" if finding.severity == "warn" else None)


def _subject(finding: Finding) -> tuple[str, str, str | None]:
    return finding.code, finding.severity, finding.vm


def _size(demand: VmDemand) -> str:
    return f"{demand.cores} vCPUs and {demand.memory_mib} MiB"


def _addresses(addresses: set[str]) -> str:
    return ", ".join(sorted(addresses)) or "no PCI function"
