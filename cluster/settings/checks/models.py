"""Models against the cluster that is to serve them, and the transfer that brings them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cluster.problems import Problem
from cluster.render.container_images import parse
from cluster.render.names import standby_name
from cluster.settings.checks.repeats import repeats
from cluster.settings.draft import Draft, Part
from cluster.settings.model import Model
from cluster.timers import calendar

_REGISTRY_URI = re.compile(r"models:/([^/@:]+)(?:/([1-9]\d*)|@([A-Za-z0-9_-]+))")
"""MLflow's registered model with a version, or with an alias; what it calls stages is deprecated and refused."""
_QUANTIZED_BY = "vllm"


def check(draft: Draft) -> Iterator[Problem]:
    """Yield the problems of models and of their transfer."""
    names = [(f"{model.path}.name", model.value.name) for model in draft.models.having("name")]
    yield from repeats(names, "name", "give each model its own name")
    yield from _standby_names(draft)
    for model in draft.models:
        yield from _replicas(model)
        yield from _runtime(model)
        yield from _uri(model)
        yield from _fallback(model)
    transfer = draft.transfer
    if (
        transfer
        and transfer.has("schedule")
        and (wrong := calendar.problem("transfer.schedule", transfer.value.schedule))
    ):
        yield wrong


def _replicas(model: Part[Model]) -> Iterator[Problem]:
    if model.has("min_replicas", "max_replicas"):
        least, most = model.value.min_replicas, model.value.max_replicas
        if least > most:
            reason = f"is more than max_replicas {most}"
            yield Problem(f"{model.path}.min_replicas", least, reason, f"write max_replicas: {least} or more")


def _runtime(model: Part[Model]) -> Iterator[Problem]:
    if not model.has("runtime"):
        return
    runtime = model.value.runtime
    if model.has("gpus") and runtime == "vllm" and model.value.gpus == 0:
        remedy = "write gpus: 1, or a runtime that serves on a CPU: mlserver, mlflow or huggingface"
        yield Problem(f"{model.path}.gpus", 0, "is too few for runtime vllm, which needs a GPU", remedy)
    if model.has("quantization") and model.value.quantization and runtime != _QUANTIZED_BY:
        reason = f"means nothing to runtime {runtime}"
        yield Problem(f"{model.path}.quantization", model.value.quantization, reason, "take it out, or use vllm")
    if model.has("container"):
        yield from _container(model)


def _container(model: Part[Model]) -> Iterator[Problem]:
    container, path = model.value.container, f"{model.path}.container"
    variant = model.value.cpu_variant if model.has("cpu_variant") else None
    wanted = "custom" in (model.value.runtime, variant.runtime if variant else "")
    if container is None and wanted:
        yield Problem(path, None, "is missing, which runtime custom needs", "write its image, registry/repository:tag")
    elif container is not None and not wanted:
        reason = f"is only for runtime custom, this is {model.value.runtime}"
        yield Problem(path, container.image, reason, "write runtime: custom, or take it out")
    elif container is not None:
        try:
            parse(container.image)
        except ValueError:
            remedy = "write registry/repository:tag with a fixed tag, not latest"
            yield Problem(f"{path}.image", container.image, "is not a pinned image", remedy)


def _uri(model: Part[Model]) -> Iterator[Problem]:
    if not model.has("uri"):
        return
    uri, path = model.value.uri, f"{model.path}.uri"
    if uri.startswith("models:"):
        found = _REGISTRY_URI.fullmatch(uri)
        if found is None:
            reason = "names neither a version nor an alias of a registered model"
            yield Problem(path, uri, reason, "write models:/NAME/3 or models:/NAME@champion")
        elif model.has("version") and (said := found[2] or found[3]) != model.value.version:
            reason = f"is not the version that uri names, {said}"
            yield Problem(f"{model.path}.version", model.value.version, reason, f"write '{said}', or leave it out")
        elif found[3] and model.has("digest") and model.value.digest:
            reason = "would be asked of every version that the alias names in its turn"
            yield Problem(f"{model.path}.digest", model.value.digest, reason, "leave it out: MLflow has each version's")
    if uri.startswith("pvc:"):
        mounted = "a volume is mounted as it is, nothing is downloaded and looked at"
        for key in ("digest", "cache"):
            if model.has(key) and getattr(model.value, key):
                value = getattr(model.value, key)
                yield Problem(
                    f"{model.path}.{key}", value, f"cannot be kept to: {mounted}", "take it out, or use s3://"
                )


def _standby_names(draft: Draft) -> Iterator[Problem]:
    """The standby of a model is a service of its own, with a name of its own."""
    taken = {
        standby_name(model.value.name): model.value.name
        for model in draft.models.having("name", "standby")
        if model.value.standby == "cpu"
    }
    for model in draft.models.having("name"):
        if model.value.name in taken:
            reason = f"is the name of what stands by for model {taken[model.value.name]}"
            yield Problem(f"{model.path}.name", model.value.name, reason, "give this model another name")


def _fallback(model: Part[Model]) -> Iterator[Problem]:
    if not model.has("when_no_gpu", "standby", "cpu_variant", "runtime", "gpus"):
        return
    value = model.value
    used = "cpu" in (value.when_no_gpu, value.standby)
    if value.cpu_variant is not None and not used:
        remedy = "write when_no_gpu: cpu, or standby: cpu, or take cpu_variant out"
        yield Problem(f"{model.path}.cpu_variant", None, "is never used under when_no_gpu: refuse", remedy)
    for key in ("when_no_gpu", "standby"):
        if getattr(value, key) == "cpu" and value.gpus == 0:
            remedy = "take it out, or write gpus"
            yield Problem(f"{model.path}.{key}", "cpu", "says nothing of a model that asks for no GPU", remedy)
    if used and value.cpu_variant is None and value.runtime == "vllm" and value.gpus:
        remedy = "write it: a runtime for the CPU, and the uri of a smaller model"
        yield Problem(f"{model.path}.cpu_variant", None, "is missing: vllm does not serve on the CPU", remedy)
