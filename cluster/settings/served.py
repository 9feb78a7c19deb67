"""Which form of each model a stack serves: as written, or its CPU variant; and which variant stands by."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.settings.model import CpuVariant, Model, ModelUri


def served(models: Sequence[Model], gpu_count: int | None, most: int | None = None) -> tuple[Model, ...]:
    """Return the models in the file's order, which decides who gets a GPU first; each keeps its name.

    ``gpu_count``: GPUs of all machines; None: not known (a cluster that exists already), every model stays as written.
    ``most``: GPUs of the machine that has most of them, where a replica must find all of its own; None: as many as all.
    Models that may not fall back are counted first: they are refused where they do not fit, so nobody takes theirs.
    """
    if gpu_count is None:
        return tuple(models)
    free = gpu_count - sum(_least(model) for model in models if not _may_fall_back(model))
    found = []
    for model in models:
        if not _may_fall_back(model):
            found.append(model)
        elif _least(model) <= free and (most is None or model.gpus <= most):
            free -= _least(model)
            found.append(model)
        else:
            found.append(on_cpu(model))
    return tuple(found)


def on_cpu(model: Model) -> Model:
    """Return a model's CPU variant under the model's name; what the variant leaves out is the model's."""
    variant = model.cpu_variant or CpuVariant()
    changes: dict[str, object] = {"gpus": 0, "quantization": None, "runtime": variant.runtime}
    changes |= {key: value for key in ("cores", "memory") if (value := getattr(variant, key)) is not None}
    if variant.uri is not None:
        # another model: its own version and digest, or what its URI says
        changes |= {"uri": variant.uri, "digest": variant.digest, "version": variant.version or version_of(variant.uri)}
    if variant.runtime != "custom":
        changes["container"] = None
    return model.model_copy(update=changes)


def standby_of(model: Model) -> Model | None:
    """Return what stands by for a model as it is served: its CPU variant, one replica; None where nothing does."""
    if model.standby == "none" or model.gpus == 0:
        return None
    return on_cpu(model).model_copy(update={"min_replicas": 1, "max_replicas": 1})


def version_of(uri: ModelUri) -> str:
    """Return the version or alias that a model's URI ends with."""
    return Model(name="any", uri=uri).version


def _may_fall_back(model: Model) -> bool:
    return model.gpus > 0 and model.when_no_gpu == "cpu"


def _least(model: Model) -> int:
    """GPUs that a model holds as soon as the stack is up; one without replicas is woken by hand and wants one set."""
    return model.gpus * max(model.min_replicas, 1) if _may_fall_back(model) else model.gpus * model.min_replicas
