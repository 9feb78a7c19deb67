"""``cloudctl bench``: load on a served model, against the requirement's targets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cloudctl import console, exits, options, project

if TYPE_CHECKING:
    from cluster.loadtest.ask import Ask
    from cluster.loadtest.drive import Load
    from cluster.loadtest.figures import Figure
    from cluster.loadtest.replicas import Deployment
    from cluster.loadtest.samples import Run
    from cluster.settings.model import Model

USERS = 1000
"""Users at most that wait for an answer at once; more would be a test of the load tool."""

Name = Annotated[str, typer.Argument(help="The model, as the stack's settings name it.", metavar="NAME")]
Url = Annotated[
    str | None, typer.Option("--url", help="Where the model answers; left out: at the stack's gateway.", metavar="URL")
]
CaFile = Annotated[
    Path | None,
    typer.Option(
        "--ca-file",
        help="The authority of the gateway's certificate; left out: the stack's, fetched with kubectl.",
        metavar="PEM",
    ),
]
Input = Annotated[
    Path | None,
    typer.Option("--input", help="Body of a request (JSON); left out: an example of what the model says.", exists=True),
]
Rate = Annotated[
    float | None, typer.Option("--rate", min=0.1, help="Requests a second; left out: the target and a fifth more.")
]
Users = Annotated[
    int | None,
    typer.Option("--users", min=1, max=USERS, help="As fast as so many users get answers, in place of a rate."),
]
Seconds = Annotated[float, typer.Option("--seconds", min=1, help="How long to measure.")]
WarmUp = Annotated[float, typer.Option("--warm-up", min=0, help="Seconds of the same load before that, not counted.")]
Prometheus = Annotated[
    str | None,
    typer.Option("--prometheus", help="Prometheus' URL; left out: the stack's own, through kubectl.", metavar="URL"),
]
ColdStart = Annotated[
    bool, typer.Option("--cold-start", help="Take the model's pods away and time their return: IT STOPS ANSWERING.")
]
ScaleOut = Annotated[
    bool, typer.Option("--scale-out", help="Scale the model to one replica, then time the way to three.")
]
Compare = Annotated[
    Path | None, typer.Option("--compare", help="An older report to set beside this one.", metavar="JSON", exists=True)
]


def bench(
    name: Name,
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    url: Url = None,
    ca_file: CaFile = None,
    input_: Input = None,
    rate: Rate = None,
    users: Users = None,
    seconds: Seconds = 60.0,
    warm_up: WarmUp = 10.0,
    prometheus: Prometheus = None,
    cold_start: ColdStart = False,
    scale_out: ScaleOut = False,
    compare: Compare = None,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    json_: options.Json = False,
) -> None:
    """Measure a served model against the targets.

    Locust puts a load on it: P50, P95, P99, requests per second, errors; Prometheus says how busy its GPUs are; with
    --cold-start and --scale-out, which change the model's replicas for a while and put them back, how fast pods come.
    What was not or could not be measured says "unknown" and why. Report and picture are kept in .cloud/<stack>/bench.
    Exit code 1: a target is missed; 3: something that was asked for could not be measured.

    \b
    Examples:
      cloudctl bench classifier --stack prod --dry-run
      cloudctl bench classifier --stack prod
      cloudctl bench classifier --url http://127.0.0.1:8080 --input request.json --users 8
      cloudctl bench assistant --stack prod --cold-start --scale-out
      cloudctl bench classifier --stack prod --compare .cloud/prod/bench/older.json
    """
    from cloudctl import measuring
    from cloudctl.views import bench as view
    from cluster.loadtest import report

    chosen = project.choose(stack, config_file)
    settings = chosen.settings()
    model = measuring.model(settings, name, chosen.file)
    older = report.read(compare) if compare else None
    load = _load(model, rate, users, seconds, warm_up)
    place = url or measuring.gateway(model, settings)
    deployment = measuring.deployment(chosen.name, model)
    if dry_run:
        console.say(f"would ask {place}: {load.told()}")
        for what in _changes(deployment, cold_start, scale_out):
            console.say(f"would {what}")
        return
    for what in _changes(deployment, cold_start, scale_out):
        if not yes:
            typer.confirm(f"{what}?", abort=True, err=json_)
    ca_file = measuring.authority(chosen.name, settings, ca_file, place)
    ask = measuring.request(model, place, ca_file, input_)
    measured, run = _measure(deployment, ask, load, cold_start, scale_out)
    measured |= _gpu(model, run, prometheus, ca_file, measuring.kubeconfig(chosen.name))
    made, files = measuring.report(chosen, model, place, load, run, measured)
    view.show(made, files, report.compare(older, made) if older else [], json_=json_)
    raise typer.Exit(view.exit_code(made))


def _load(model: Model, rate: float | None, users: int | None, seconds: float, warm_up: float) -> Load:
    """Return the load; what the targets ask for where nothing is said."""
    from cluster.loadtest import targets
    from cluster.loadtest.drive import Load
    from cluster.problems import InputError, Problem

    if rate and users:
        problem = Problem("--users", users, "asks as fast as it can, --rate at a rate", "give one of the two")
        raise InputError("command line", [problem])
    if users:
        return Load(None, users, seconds, warm_up)
    wanted = rate or targets.required_rate(model.gpus, model.min_replicas) * targets.HEADROOM
    return Load(wanted, min(USERS, max(8, int(wanted * 4))), seconds, warm_up)


def _changes(deployment: Deployment, cold_start: bool, scale_out: bool) -> list[str]:
    """Return what the measurement does to the model, in words."""
    found = []
    if cold_start:
        found.append(f"take the pods of {deployment.name} away and bring them back (the model does not answer then)")
    if scale_out:
        found.append(f"scale {deployment.name} to one replica, to three, and back")
    return found


def _measure(
    deployment: Deployment, ask: Ask, load: Load, cold_start: bool, scale_out: bool
) -> tuple[dict[str, Figure], Run]:
    """Measure: first the cold start, then the load on the warm model, then the way to three replicas."""
    from cluster.loadtest import drive, replicas
    from cluster.loadtest.figures import unasked

    measured = {"cold_start": unasked("--cold-start"), "pod_start": unasked("--cold-start")}
    measured["scale_out"] = unasked("--scale-out")
    try:
        if cold_start or scale_out:
            # asked once before anything is measured: without an answer there is no need to begin
            deployment.replicas()
            if (before := deployment.put_back()) is not None:
                console.note(f"... {deployment.name}: back to {before} replicas, which a killed run had changed")
        if cold_start:
            measured |= replicas.cold_start(deployment, ask, 600, console.note)
        run = drive.run(ask, load, lambda text: console.note(f"... {text}"))
    except (drive.LoadError, replicas.ReplicasError) as error:
        raise exits.CannotTellError(str(error)) from None
    if scale_out:
        measured["scale_out"] = _scale_out(deployment)
    return measured, run


def _scale_out(deployment: Deployment) -> Figure:
    """Return the time to three replicas; what the load has shown before is kept, whatever becomes of this."""
    from cluster.loadtest import replicas, targets
    from cluster.loadtest.figures import Figure

    try:
        return replicas.scale_out(deployment, 3 * targets.SCALE_OUT_S, console.note)
    except replicas.ReplicasError as error:
        return Figure(None, str(error))


def _gpu(model: Model, run: Run, prometheus: str | None, ca_file: Path | None, config: Path) -> dict[str, Any]:
    """Return the figure of a model with GPUs; one without has none. Left out, the stack's own Prometheus is asked."""
    from cluster.loadtest import gpu
    from cluster.loadtest.figures import unasked

    if not model.gpus:
        return {}
    if prometheus:
        trusted = str(ca_file) if ca_file else None
        return {"gpu_utilisation": gpu.utilisation(prometheus, model.name, run.measured_from, run.seconds, trusted)}
    if not config.is_file():
        return {"gpu_utilisation": unasked("--prometheus URL")}
    return {"gpu_utilisation": gpu.by_forward(config, model.name, run.measured_from, run.seconds)}
