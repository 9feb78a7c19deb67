"""What a model server says of its own time: the difference of its counters between two moments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

QUEUE: Final = ("vllm:request_queue_time_seconds",)
INFERENCE: Final = ("vllm:request_inference_time_seconds", "model_infer_request_duration", "request_predict_seconds")
"""Sums of seconds, by server: vLLM, MLServer, KServe's own servers; the first that is there counts."""
FIRST_TOKEN: Final = ("vllm:time_to_first_token_seconds",)
WHOLE: Final = ("vllm:e2e_request_latency_seconds", "rest_server_request_duration_seconds")


@dataclass(frozen=True)
class ServerTimes:
    """Mean milliseconds of a request inside the server, each None where the server does not measure it."""

    queue: float | None
    inference: float | None
    first_token: float | None
    whole: float | None
    requests: int


def counters(text: str) -> dict[str, float]:
    """Return ``NAME_sum`` and ``NAME_count`` of every summary and histogram of a page of metrics, labels added up.

    Of MLServer's requests only those for inference count: health checks would pull the mean down.
    """
    found: dict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.endswith(("_sum", "_count")) and "infer" in sample.labels.get("path", "infer"):
                found[sample.name] += sample.value
    return dict(found)


def between(before: Mapping[str, float], after: Mapping[str, float]) -> ServerTimes:
    """Return the mean times of the requests between two pages; None where nothing was counted.

    A counter that went back belongs to a server that was started anew: nothing can be said of it.
    """
    found = {name: _mean(names, before, after) for name, names in _PARTS.items()}
    counts = [count for _, count in found.values() if count]
    times = {name: value for name, (value, _) in found.items()}
    return ServerTimes(**times, requests=max(counts, default=0))


_PARTS: Final = {"queue": QUEUE, "inference": INFERENCE, "first_token": FIRST_TOKEN, "whole": WHOLE}


def _mean(names: tuple[str, ...], before: Mapping[str, float], after: Mapping[str, float]) -> tuple[float | None, int]:
    for name in names:
        count = after.get(f"{name}_count", 0.0) - before.get(f"{name}_count", 0.0)
        total = after.get(f"{name}_sum", 0.0) - before.get(f"{name}_sum", 0.0)
        if count > 0 and total >= 0:
            return 1000 * total / count, int(count)
    return None, 0
