"""Models against the cluster that is to serve them, and the transfer that brings them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cluster.problems import Problem
from cluster.settings.checks.repeats import repeats
from cluster.settings.draft import Draft

_CRON = re.compile(
    r"(@(hourly|daily|weekly|monthly|yearly|annually|midnight))|([0-9A-Za-z*/,-]+(\s+[0-9A-Za-z*/,-]+){4})"
)


def check(draft: Draft) -> Iterator[Problem]:
    """Yield the problems of models and of their transfer."""
    names = [(f"{model.path}.name", model.value.name) for model in draft.models.having("name")]
    yield from repeats(names, "name", "give each model its own name")
    for model in draft.models.having("min_replicas", "max_replicas"):
        least, most = model.value.min_replicas, model.value.max_replicas
        if least > most:
            reason = f"is more than max_replicas {most}"
            yield Problem(f"{model.path}.min_replicas", least, reason, f"write max_replicas: {least} or more")
    for model in draft.models.having("runtime", "gpus"):
        if model.value.runtime == "vllm" and model.value.gpus == 0:
            remedy = "write gpus: 1, or a runtime that serves on a CPU: mlserver, mlflow or huggingface"
            yield Problem(f"{model.path}.gpus", 0, "is too few for runtime vllm, which needs a GPU", remedy)
    transfer = draft.transfer
    if transfer and transfer.has("schedule") and not _CRON.fullmatch(transfer.value.schedule.strip()):
        remedy = "write five fields: minute, hour, day, month, weekday; for example '17 * * * *'"
        yield Problem("transfer.schedule", transfer.value.schedule, "is not a cron line", remedy)
