"""What models and stores ask for against the planned VMs. Whether the host can carry the VMs is for the budget."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.problems import Problem
from cluster.settings.draft import Draft
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
        if total and model.value.gpus > most and not (model.has("when_no_gpu") and model.value.when_no_gpu == "cpu"):
            reason = f"is more GPUs than one machine has ({most}), and a replica runs on one machine"
            yield Problem(f"{model.path}.gpus", model.value.gpus, reason, f"write gpus: {most} or less")
    if not draft.models.complete("gpus", "min_replicas", "when_no_gpu"):
        return
    # one that may fall back to the CPU gives way
    asked = sum(each.value.gpus * each.value.min_replicas for each in draft.models if each.value.when_no_gpu != "cpu")
    if asked > total:
        reason = f"ask for {asked} GPUs at min_replicas, but the machines have {total}"
        yield Problem("models", None, reason, "lower gpus or min_replicas, or add GPUs to machines of role gpu-worker")


def _nodes(draft: Draft) -> Iterator[Problem]:
    """A replica must fit on one machine that runs pods; with GPUs, on one that has GPUs."""
    if not draft.machines.complete("role", "memory", "cores"):
        return
    for model in draft.models.having("gpus", "memory", "cores"):
        roles = ("gpu-worker",) if model.value.gpus else ("worker", "gpu-worker")
        nodes = [machine.value for machine in draft.machines if machine.value.role in roles]
        if not nodes:
            continue  # refused elsewhere where GPUs are asked; a single node of k3s runs pods itself
        memory, cores = max(node.memory for node in nodes), max(node.cores for node in nodes)
        if model.value.memory >= memory:
            asked = format_mib(model.value.memory)
            reason = (
                f"does not fit on any {' or '.join(roles)}: the largest has {format_mib(memory)}, its system included"
            )
            yield Problem(f"{model.path}.memory", asked, reason, "lower it, or raise memory of that machine")
        if model.value.cores > cores:
            reason = f"is more than any {' or '.join(roles)} has ({cores})"
            yield Problem(f"{model.path}.cores", model.value.cores, reason, f"write cores: {cores} or less")


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
