"""The models of a plan that was made smaller: which of them it still serves, and what its workers need for that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cluster.settings.checks.capacity import too_large
from cluster.settings.model import Machine, Model, Settings
from cluster.settings.served import served, standby_of
from cluster.types import MIB_PER_GIB

SYSTEM = {"cores": 1, "memory": 2 * MIB_PER_GIB}
"""What of a worker its system, the kubelet and the cluster's own pods take beside a model: our guess, not measured."""

Floors = Mapping[str, Mapping[str, int]]
"""Role -> resource -> the least with which a machine of that role carries a model."""


def floors_for(settings: Settings, machines: Sequence[Machine]) -> Floors:
    """Return what workers need so that one of each role carries the largest model that is served there."""
    gpus = [len(machine.gpus) for machine in machines]
    models = served(settings.models, sum(gpus), max(gpus, default=0))
    on_gpu = [model for model in models if model.gpus]
    on_cpu = [model for model in models if not model.gpus] + _standbys(models)
    plain = any(machine.role == "worker" for machine in machines)
    needs = {"gpu-worker": on_gpu if plain else models, "worker": on_cpu}
    return {role: _need(there) for role, there in needs.items() if there}


def models_for(settings: Settings, machines: Sequence[Machine], *, whole: bool) -> tuple[Model, ...] | None:
    """Return the models that these machines can serve; the file's order decides who gets a GPU first.

    One that may fall back to the CPU stays. ``whole``: None where a model is too large for the machines, though there
    are GPUs enough; else such a model goes.
    """
    gpus = [len(machine.gpus) for machine in machines]
    free, most = sum(gpus), max(gpus, default=0)
    kept: list[Model] = []
    for model in settings.models:
        wanted = 0 if model.when_no_gpu == "cpu" else model.gpus * max(model.min_replicas, 1)
        if wanted <= free and (not wanted or model.gpus <= most):
            free -= wanted
            kept.append(model)
    fitting = kept
    while large := [each.name for each in served(fitting, sum(gpus), most) if too_large(each, machines)]:
        if whole:
            return None
        fitting = [model for model in fitting if model.name not in large]
    return _with_standbys(fitting, machines, whole=whole)


def _with_standbys(models: Sequence[Model], machines: Sequence[Machine], *, whole: bool) -> tuple[Model, ...] | None:
    """Take the standby from models where there is no place for it any more; None where it is only too large."""
    gpus = [len(machine.gpus) for machine in machines]
    places = [machine for machine in machines if machine.role == "worker"]
    as_served = served(models, sum(gpus), max(gpus, default=0))
    found = []
    for written, model in zip(models, as_served, strict=True):
        standby = standby_of(model)
        if standby and (not places or too_large(standby, places)):
            if whole and places:
                return None
            variant = written.cpu_variant if written.when_no_gpu == "cpu" else None
            written = written.model_copy(update={"standby": "none", "cpu_variant": variant})
        found.append(written)
    return tuple(found)


def _standbys(models: Sequence[Model]) -> list[Model]:
    return [standby for model in models if (standby := standby_of(model))]


def _need(models: Sequence[Model]) -> dict[str, int]:
    memory = max(int(model.memory) for model in models)
    return {
        "cores": max(model.cores for model in models) + SYSTEM["cores"],
        "memory": -(-memory // MIB_PER_GIB) * MIB_PER_GIB + SYSTEM["memory"],
    }
