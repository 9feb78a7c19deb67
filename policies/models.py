"""Model services against the VMs of the same plan: GPUs for the smallest number of replicas, and memory on one node."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cluster.budget import VmDemand
from policies.demand import DOMAIN, vm_demand
from policies.hosts import HOST, MACHINE, UnreadableError, host_of
from policies.model import UNKNOWN, Config, Plan, Policy, Resource, Violation, reveal

SERVICE = "kubernetes:serving.kserve.io/v1beta1:InferenceService"
_GPU = "nvidia.com/gpu"
_GPU_NODE = "nvidia.com/gpu.present"
_QUANTITY = re.compile(r"(\d+)(Mi|Gi)")
_MIB = {"Mi": 1, "Gi": 1024}


def check_stack(plan: Plan, config: Config) -> Iterator[Violation]:
    """Report services that no VM can carry, and all of them where they ask for more GPUs than there are.

    Where the plan has no VM the cluster exists already, and nobody knows what it has.
    """
    vms = list(_vms(plan))
    if not vms:
        return
    total, asked = sum(len(vm.gpus) for vm in vms), 0
    for service in plan.of(SERVICE):
        predictor: Any = reveal(service.props.get("spec"))
        predictor = predictor.get("predictor") if isinstance(predictor, Mapping) else None
        limits = _limits(predictor) if isinstance(predictor, Mapping) else None
        if limits is None:
            yield Violation(f"service {service.name}: what it asks for is not known before the update", service.urn)
            continue
        gpus, memory = int(limits.get(_GPU, 0)), _mib(str(limits.get("memory", "0Mi")))
        asked += gpus * int(predictor.get("minReplicas", 1))
        plain = [vm for vm in vms if not vm.gpus]
        yield from _one(service, gpus, memory, plain if _shuns_gpus(predictor) else vms)
    if asked > total:
        yield Violation(
            f"model services ask for {asked} GPUs at minReplicas, the planned VMs have {total};"
            " lower gpus or min_replicas, or serve one by the CPU: when_no_gpu: cpu"
        )


def _one(service: Resource, gpus: int, memory: int, vms: Sequence[VmDemand]) -> Iterator[Violation]:
    fitting = [vm for vm in vms if len(vm.gpus) >= gpus]
    if not vms:
        yield Violation(
            f"service {service.name} stays off nodes with GPUs, and every VM has one; add a machine of role worker, or"
            " take the standby out",
            service.urn,
        )
    elif not fitting:
        most = max(len(vm.gpus) for vm in vms)
        yield Violation(f"service {service.name} asks for {gpus} GPUs, no VM has more than {most}", service.urn)
    elif memory >= (largest := max(vm.memory_mib for vm in fitting)):
        where = "VM with GPUs" if gpus else "VM"
        yield Violation(
            f"service {service.name} asks for {memory} MiB, the largest {where} has {largest} MiB, its system included;"
            " lower memory of the model, or raise it of the machine",
            service.urn,
        )


def _shuns_gpus(predictor: Mapping[str, Any]) -> bool:
    """Whether a service's pods stay off nodes with GPUs: what stands by for a model has to outlive those."""
    required = predictor.get("affinity")
    for key in ("nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"):
        required = required.get(key) if isinstance(required, Mapping) else None
    terms = required.get("nodeSelectorTerms") if isinstance(required, Mapping) else None
    wanted = (_GPU_NODE, "DoesNotExist")
    return isinstance(terms, list) and all(
        any((each.get("key"), each.get("operator")) == wanted for each in term.get("matchExpressions", []))
        for term in terms
    )


def _vms(plan: Plan) -> Iterator[VmDemand]:
    for domain in plan.of(DOMAIN):
        try:
            yield vm_demand(domain, host_of(domain, plan))
        except UnreadableError:
            continue  # refused when it was registered


def _limits(predictor: Mapping[str, Any]) -> Mapping[str, Any] | None:
    containers = predictor.get("containers") or [predictor.get("model") or {}]
    limits = (containers[0].get("resources") or {}).get("limits", {})
    return None if limits is UNKNOWN or UNKNOWN in limits.values() else dict(limits)


def _mib(quantity: str) -> int:
    found = _QUANTITY.fullmatch(quantity)
    return int(found[1]) * _MIB[found[2]] if found else 0


POLICY = Policy(
    name="models",
    level="mandatory",
    description="Model services fit the planned VMs: their GPUs at the fewest replicas, each replica's memory on one.",
    types=frozenset({SERVICE}),
    needs=frozenset({DOMAIN, HOST, MACHINE}),
    check_stack=check_stack,
)
