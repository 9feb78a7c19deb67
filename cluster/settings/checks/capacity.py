"""What models and stores ask for against the planned VMs. Whether the host can carry the VMs is for the budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cluster.problems import Problem
from cluster.settings.draft import Draft, Part
from cluster.settings.model import Machine, Model
from cluster.settings.served import served, standby_of
from cluster.types import format_mib

_STORES = ("object_store", "database", "monitoring")


def check(draft: Draft) -> Iterator[Problem]:
    """Yield the problems of models and stores that no planned VM can carry."""
    if not draft.makes_machines():
        return  # what an existing cluster has is not known here
    yield from _gpus(draft)
    yield from _nodes(draft)
    yield from _stores(draft)


def _gpus(draft: Draft) -> Iterator[Problem]:
    total = draft.gpu_total()
    if total is None:
        return
    most = max((len(parts.items) for parts in draft.gpus.values()), default=0)
    for model in draft.models.having("gpus"):
        if model.value.gpus <= most or (model.has("when_no_gpu") and model.value.when_no_gpu == "cpu"):
            continue
        # without any GPU that is said below, unless the model has no replica that would count
        if total or (model.has("min_replicas") and model.value.min_replicas == 0):
            reason = f"is more GPUs than one machine has ({most}), and a replica runs on one machine"
            yield Problem(f"{model.path}.gpus", model.value.gpus, reason, f"write gpus: {most} or less")
    if not draft.models.complete("gpus", "min_replicas", "when_no_gpu"):
        return
    # one that may fall back to the CPU gives way
    asked = sum(each.value.gpus * each.value.min_replicas for each in draft.models if each.value.when_no_gpu != "cpu")
    if asked > total:
        reason = f"ask for {asked} GPUs at min_replicas, but the machines have {total}"
        yield Problem("models", None, reason, "lower gpus or min_replicas, or add GPUs to machines of role gpu-worker")


def too_large(
    model: Model, machines: Sequence[Machine], roles: tuple[str, ...] | None = None
) -> list[tuple[str, object, str, str]]:
    """Return field, value, reason and remedy of what no machine can carry of a replica: it must fit on one.

    With GPUs, on one that has GPUs; without, on any that runs pods; or on one of the ``roles`` given. Whether there are
    GPUs is not looked at.
    """
    roles = roles or (("gpu-worker",) if model.gpus else ("worker", "gpu-worker"))
    nodes = [machine for machine in machines if machine.role in roles]
    if not nodes:
        return []  # refused elsewhere where GPUs are asked; a single node of k3s runs pods itself
    found: list[tuple[str, object, str, str]] = []
    memory, cores = max(node.memory for node in nodes), max(node.cores for node in nodes)
    if model.memory >= memory:
        reason = f"does not fit on any {' or '.join(roles)}: the largest has {format_mib(memory)}, its system included"
        found.append(("memory", format_mib(model.memory), reason, "lower it, or raise memory of that machine"))
    if model.cores > cores:
        reason = f"is more than any {' or '.join(roles)} has ({cores})"
        found.append(("cores", model.cores, reason, f"write cores: {cores} or less"))
    return found


def _nodes(draft: Draft) -> Iterator[Problem]:
    """Each model as it is served: one that falls back to the CPU, in its CPU variant."""
    if not draft.machines.complete("role", "memory", "cores"):
        return
    machines = [machine.value for machine in draft.machines]
    for model, value in _as_served(draft):
        if model.has("gpus", "memory", "cores"):
            for field, asked, reason, remedy in too_large(value, machines):
                yield Problem(f"{model.path}.{field}", asked, reason, remedy)
        if model.has("gpus", "memory", "cores", "standby", "cpu_variant", "runtime", "uri"):
            yield from _standby(model, value, machines)


def _standby(model: Part[Model], value: Model, machines: Sequence[Machine]) -> Iterator[Problem]:
    """What stands by runs on a node without GPUs: with the model's own it would go when that does."""
    standby = standby_of(value)
    if standby is None:
        return
    if not any(machine.role == "worker" for machine in machines):
        reason = "has no place: it runs on a machine of role worker, which outlives a GPU worker, and there is none"
        yield Problem(f"{model.path}.standby", "cpu", reason, "add a machine of role worker, or take it out")
    for field, asked, reason, remedy in too_large(standby, machines, ("worker",)):
        where = f"cpu_variant.{field}" if getattr(model.value.cpu_variant, field, None) is not None else field
        yield Problem(f"{model.path}.{where}", asked, f"as standby {reason}", remedy)


def _as_served(draft: Draft) -> Iterator[tuple[Part[Model], Model]]:
    total = draft.gpu_total()
    every = [model.value for model in draft.models]
    if total is not None and all(not model.bad for model in draft.models):
        every = list(served(every, total, max((len(parts.items) for parts in draft.gpus.values()), default=0)))
    yield from zip(draft.models, every, strict=True)


def _stores(draft: Draft) -> Iterator[Problem]:
    """Volumes of the local-path class lie on one node's disk."""
    if not draft.machines.complete("disk"):
        return
    largest = max((machine.value.disk for machine in draft.machines), default=0)
    for key in _STORES:
        section = getattr(draft, key)
        if section and section.has("size") and section.value.size >= largest > 0:
            size = format_mib(section.value.size)
            reason = f"does not fit on any machine's disk: the largest has {format_mib(largest)}, its system included"
            yield Problem(f"{key}.size", size, reason, "lower it, or raise disk of a worker")
