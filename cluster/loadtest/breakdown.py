"""Where a slow request's time goes: the parts of its way, the largest of them, and what to do about that."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cluster.loadtest.servermetrics import ServerTimes
from cluster.loadtest.trace import Spans

REMEDIES: Final = {
    "name lookup": "the DNS server is slow: ask a nearer one, or let clients keep connections open",
    "connect": "the network is far or lossy: cloudctl net check; let clients keep connections open",
    "tls": "let clients keep connections open: each new one pays for the encryption's handshake",
    "send": "the request is large: send less, or binary data in place of JSON",
    "gateway": "kubectl -n envoy-gateway-system top pods: the gateway waits for a processor, or for a free connection",
    "queue": "requests wait for their turn: more replicas (max_replicas), or fewer of them at once",
    "inference": "the model itself: quantization or a smaller model; a GPU where it has none; more cores",
    "server": "the server around the model (reading JSON, tokens, workers): more cores; a smaller request",
    "waiting": "gateway, queue and model together: ask the predictor and its metrics too (a kubeconfig, or --direct)",
    "transfer": "the answer is large: fewer tokens or outputs, or a nearer client",
}


@dataclass(frozen=True)
class Part:
    """A part of the way, its milliseconds, and its share of the whole in percent."""

    name: str
    ms: float
    percent: float


@dataclass(frozen=True)
class Breakdown:
    """The parts of the slow request in order, the largest one, what to do, and what could not be told apart and why."""

    parts: tuple[Part, ...]
    total_ms: float
    median_ms: float
    largest: str
    remedy: str
    unknown: tuple[str, ...]


def slow_one(every: Sequence[Spans]) -> Spans:
    """Return the slowest of the requests but for the slowest twentieth: one bad moment is no rule."""
    ranked = sorted(every, key=lambda each: each.total)
    return ranked[min(len(ranked) - 1, int(0.95 * len(ranked)))]


def explain(every: Sequence[Spans], direct: Sequence[Spans] | None, server: ServerTimes | None) -> Breakdown:
    """Return where the time of the slow one of ``every`` goes.

    ``direct`` are the same requests sent to the predictor itself: what waiting costs more over the gateway is the
    gateway's. ``server`` are the server's own mean times. What is None is not told apart, and says so.
    """
    slow = slow_one(every)
    waits, unknown = _waits(slow.wait, statistics.median(each.wait for each in every), direct, server)
    ways = {"name lookup": slow.lookup, "connect": slow.connect, "tls": slow.tls, "send": slow.send}
    named = ways | waits | {"transfer": slow.transfer}
    total = sum(named.values())
    parts = tuple(Part(name, ms, 100 * ms / total if total else 0.0) for name, ms in named.items())
    largest = max(parts, key=lambda part: part.ms).name
    median = statistics.median(each.total for each in every)
    return Breakdown(parts, total, median, largest, REMEDIES[largest], tuple(unknown))


def _waits(
    slow: float, usual: float, direct: Sequence[Spans] | None, server: ServerTimes | None
) -> tuple[dict[str, float], list[str]]:
    """Share out the wait: first the gateway's part, then the server's own figures, scaled to the slow request.

    The server tells means only, so its parts are means of all requests; what the slow one waited beyond them goes to
    the server, where nothing says that it was the gateway.
    """
    found: dict[str, float] = {}
    unknown: list[str] = []
    rest = slow
    if direct:
        found["gateway"] = min(rest, max(0.0, usual - statistics.median(each.wait for each in direct)))
        rest -= found["gateway"]
    else:
        unknown.append("gateway: the predictor itself was not asked")
    inside = {"queue": server.queue, "inference": server.inference} if server else {}
    for name, ms in inside.items():
        if ms is None:
            unknown.append(f"{name}: the server does not measure it")
        else:
            found[name] = min(rest, ms)
            rest -= found[name]
    if not server:
        unknown.append("queue, inference: the server's metrics could not be read")
    return found | {"server" if direct and "inference" in found else "waiting": rest}, unknown
