"""``cloudctl models profile``: where the time of a slow request goes."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cloudctl import console, exits, options, project
from cloudctl.commands.bench import CaFile, Input, Name, Url

if TYPE_CHECKING:
    from cluster.loadtest.ask import Ask
    from cluster.loadtest.breakdown import Breakdown
    from cluster.loadtest.servermetrics import ServerTimes
    from cluster.loadtest.trace import Spans
    from cluster.settings.model import Model

Count = Annotated[int, typer.Option("--count", min=2, max=1000, help="Requests to send, one after the other.")]
Fresh = Annotated[bool, typer.Option("--new-connections", help="A connection for each, as clients without a pool do.")]
Direct = Annotated[
    str | None,
    typer.Option("--direct", help="The predictor itself; left out: by kubectl port-forward.", metavar="URL"),
]
Metrics = Annotated[
    str | None,
    typer.Option("--metrics", help="The server's metrics; left out: its pods are asked by kubectl.", metavar="URL"),
]


def profile(
    name: Name,
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    url: Url = None,
    ca_file: CaFile = None,
    input_: Input = None,
    count: Count = 50,
    new_connections: Fresh = False,
    direct: Direct = None,
    metrics: Metrics = None,
    json_: options.Json = False,
) -> None:
    """Say where the time of a slow request to a model goes, which part is the largest, and what to do about it.

    Sends the same request over the gateway and to the predictor itself, and reads the server's own counters before and
    after: name lookup, connection, encryption, gateway, queue, inference, server, transfer. The slow request is the one
    that a twentieth is slower than. What cannot be told apart says why. Changes nothing.

    \b
    Examples:
      cloudctl models profile classifier --stack prod
      cloudctl models profile classifier --stack prod --new-connections --json | jq '.largest'
      cloudctl models profile classifier --url http://127.0.0.1:8080 --input request.json \\
        --metrics http://127.0.0.1:8082/metrics
    """
    from cloudctl import measuring
    from cluster.loadtest import breakdown

    chosen = project.choose(stack, config_file)
    settings = chosen.settings()
    model = measuring.model(settings, name, chosen.file)
    place = url or measuring.gateway(model, settings)
    ca_file = measuring.authority(chosen.name, settings, ca_file, place)
    ask = measuring.request(model, place, ca_file, input_)
    config = measuring.kubeconfig(chosen.name)
    remarks: list[str] = []
    before = _counters(metrics, config, model, remarks)
    console.note(f"... {count} requests to {place}")
    every = _requests(ask, count, keep=not new_connections)
    server = _server(before, _counters(metrics, config, model, []), count, remarks)
    near = _direct(ask, place, direct, model, config, count, remarks)
    _show(breakdown.explain(every, near, server), remarks, place, count, json_)


def _requests(ask: Ask, count: int, *, keep: bool = True) -> list[Spans]:
    from cluster.loadtest import trace

    try:
        return trace.requests(ask, count, keep=keep)
    except trace.TraceError as error:
        raise exits.CannotTellError(str(error)) from None


def _counters(url: str | None, config: Path, model: Model, remarks: list[str]) -> dict[str, float] | None:
    """Return the server's counters, or None with a remark why."""
    from cluster.loadtest import pages

    try:
        return pages.of_url(url) if url else pages.of_pods(config, model)
    except pages.PageError as error:
        remarks.append(f"the server's metrics: {error}")
        return None


def _server(
    before: dict[str, float] | None, after: dict[str, float] | None, count: int, remarks: list[str]
) -> ServerTimes | None:
    """Return what the server counted in between; with a remark where that was more than our requests."""
    from cluster.loadtest import servermetrics

    if before is None or after is None:
        return None
    found = servermetrics.between(before, after)
    if found.requests > count:
        remarks.append(f"the server's means are of {found.requests} requests: others asked it at the same time")
    return found


def _direct(
    ask: Ask, place: str, direct: str | None, model: Model, config: Path, count: int, remarks: list[str]
) -> list[Spans] | None:
    """Return the same requests sent to the predictor itself, or None with a remark why not."""
    from cluster.render.inference_service import NAMESPACE
    from cluster.render.names import predictor
    from cluster.services import reach

    def sent(base: str) -> list[Spans]:
        console.note("... the same to the predictor itself")
        return _requests(replace(ask, url=ask.url.replace(place.rstrip("/"), base.rstrip("/"), 1)), count)

    if direct:
        return sent(direct)
    try:
        with reach.port_forward(config, reach.Inside(NAMESPACE, predictor(model.name), 80)) as port:
            return sent(f"http://127.0.0.1:{port}")
    except (reach.UnreachableError, exits.CannotTellError) as error:
        remarks.append(f"the predictor itself: {error}")
        return None


def _show(told: Breakdown, remarks: list[str], place: str, count: int, json_: bool) -> None:
    if json_:
        console.show_json({**asdict(told), "url": place, "requests": count, "remarks": remarks})
        return
    console.say(
        f"{count} requests to {place}: {told.median_ms:.1f} ms in the middle, a slow one {told.total_ms:.1f} ms"
    )
    rows = [[part.name, f"{part.ms:.2f}", f"{part.percent:.0f} %"] for part in told.parts]
    console.show_table("A slow request", ["=part", ">ms", ">share"], rows, "nothing")
    console.say(f"the largest part is {told.largest}: {told.remedy}")
    for each in (*told.unknown, *remarks):
        console.say(f"unknown: {each}")
