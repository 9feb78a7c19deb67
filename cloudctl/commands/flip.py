"""``cloudctl flip``: the GPUs of a host go from the inference cloud to the HPC cluster's VMs, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cloudctl import console, exits, options, project

if TYPE_CHECKING:
    from cloudctl.project import Stack
    from cluster.flip.journal import Journal
    from cluster.flip.model import Scene, Target
    from cluster.flip.plan import Patience, Plan
    from cluster.flip.run import Flip

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Give the GPUs to the HPC cluster, or back to the cloud.\n\n"
    "For GPUs that VMs of both define (hpc.shares_gpus). A run that was cut off goes on when it is typed again;"
    " the other command goes back.",
)

WithoutDrain = Annotated[
    bool, typer.Option("--without-drain", help="Do not empty what is about to stop: pods or jobs there are cut off.")
]
Timeout = Annotated[float, typer.Option("--timeout", min=1, help="Seconds that a VM may take to shut down.")]
DrainTimeout = Annotated[
    float, typer.Option("--drain-timeout", min=1, help="Seconds that a node or a service may take to empty.")
]
DeviceTimeout = Annotated[
    float, typer.Option("--device-timeout", min=0, help="Seconds that the devices may take to be where they should.")
]
ReadyTimeout = Annotated[
    float, typer.Option("--ready-timeout", min=1, help="Seconds that a model's service may take to be ready again.")
]


@app.command("train")
def train(
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    without_drain: WithoutDrain = False,
    timeout: Timeout = 180,
    drain_timeout: DrainTimeout = 600,
    device_timeout: DeviceTimeout = 60,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    json_: options.Json = False,
) -> None:
    """Give the GPUs to the HPC cluster.

    Stops the models' services, drains their nodes, shuts the cloud's VMs with shared GPUs down, checks that every
    device is back, hands the leases over, starts the HPC cluster's VMs. Asks each guest to power off and waits; never
    pulls the plug. Exit code 1: a step could not be finished; what came before stays, and the same command goes on.

    \b
    Examples:
      cloudctl flip train --stack prod --dry-run
      cloudctl flip train --stack prod
    """
    patience = _patience(timeout, drain_timeout, device_timeout)
    _flip("train", project.choose(stack, config_file), patience, without_drain, yes=yes, dry_run=dry_run, json_=json_)


@app.command("serve")
def serve(
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    without_drain: WithoutDrain = False,
    timeout: Timeout = 180,
    drain_timeout: DrainTimeout = 600,
    device_timeout: DeviceTimeout = 60,
    ready_timeout: ReadyTimeout = 1800,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    json_: options.Json = False,
) -> None:
    """Give the GPUs back to the cloud.

    Drains and stops the HPC cluster's VMs with shared GPUs, checks that every device is back, hands the leases over,
    starts the cloud's VMs, waits until their nodes are Ready, and gives nodes and services back what flip train took
    from them. Exit code 1: a step could not be finished; what came before stays, and the same command goes on.

    \b
    Examples:
      cloudctl flip serve --stack prod --dry-run
      cloudctl flip serve --stack prod --drain-timeout 86400     jobs may end by themselves
    """
    patience = _patience(timeout, drain_timeout, device_timeout, ready_timeout)
    _flip("serve", project.choose(stack, config_file), patience, without_drain, yes=yes, dry_run=dry_run, json_=json_)


@app.command("status")
def status(stack: options.Stack = None, config_file: options.ConfigFile = None, json_: options.Json = False) -> None:
    """Say who has the GPUs, and how far a flip is.

    Serving, training, or in between, from what hosts and leases say; and what a flip that was begun has left to do.
    Exit code 1: in between, or a flip was begun and is not through.

    \b
    Example:
      cloudctl flip status --stack prod --json | jq .mode
    """
    from cloudctl.views import flip as view

    chosen = project.choose(stack, config_file)
    with _refusals():
        flip = _of(chosen, "serve", _patience(), without_drain=False, say=console.note)
        data = view.status(chosen.name, flip.world.look(), flip.file.load(), flip.planner)
    if json_:
        console.show_json(data)
    else:
        _show_status(data)
    settled = data["mode"] != "in between" and not data["problems"] and not (data["flip"] and data["flip"]["open"])
    raise typer.Exit(exits.OK if settled else exits.REFUSED)


def _flip(
    target: Target,
    chosen: Stack,
    patience: Patience,
    without_drain: bool,
    *,
    yes: bool,
    dry_run: bool,
    json_: bool,
) -> None:
    from cloudctl.views import flip as view
    from cluster.flip.mode import mode_of

    flip = _of(chosen, target, patience, without_drain, console.note if json_ else console.say)
    with _refusals(), nullcontext() if dry_run else flip.file.lock():
        scene, before = flip.world.look(), flip.file.load()
        plan = flip.planner.plan(scene, target, before)
        if dry_run:
            console.show_json(view.planned(chosen.name, scene, plan)) if json_ else _show_plan(plan)
            return
        for remark in plan.remarks:
            flip.say(f"note: {remark}")
        if plan.steps and not yes:
            typer.confirm(_question(plan), abort=True, err=json_)
        if plan.steps or (before and before.open):
            # Whoever was asked took some time to answer.
            data = view.carried_out(chosen.name, _go(flip, target, scene if yes else None), plan)
        else:
            data = view.planned(chosen.name, scene, plan)
    if json_:
        console.show_json(data)
    else:
        console.say(f"{chosen.name} is {mode_of(target)}{'' if plan.steps else ' already'}")


def _go(flip: Flip, target: Target, scene: Scene | None) -> Journal:
    try:
        return flip.go(target, scene)
    except KeyboardInterrupt:
        console.note(f"cut off; what is done stays; go on with: {flip.again}; see: cloudctl flip status")
        raise
    except exits.CannotTellError as error:
        raise exits.CannotTellError(f"{error}\nwhat is done stays; go on with: {flip.again}") from None


def _of(chosen: Stack, target: Target, patience: Patience, without_drain: bool, say: Callable[[str], None]) -> Flip:
    from cloudctl.flipping.world import RealWorld
    from cluster.flip.journal import JournalFile
    from cluster.flip.plan import Planner
    from cluster.flip.run import Flip
    from cluster.flip.scene import sharer
    from cluster.leases import LeaseFile

    settings = chosen.settings()
    folder = project.root() / ".cloud" / chosen.name
    with _refusals():
        hpc = sharer(settings)
    world = RealWorld(settings, chosen.owner, folder / "kubeconfig", LeaseFile(project.root() / settings.state))
    planner = Planner(hpc, str(folder / "kubeconfig"), patience, without_drain)
    again = f"cloudctl flip {target} --stack {chosen.name}"
    if chosen.file != project.root() / f"Pulumi.{chosen.name}.yaml":
        again += f" --config-file {chosen.file}"
    return Flip(world, planner, JournalFile(folder / "flip.json"), again, say)


def _patience(off: float = 180, drain: float = 600, devices: float = 60, ready: float = 1800) -> Patience:
    from cluster.flip.plan import Patience

    return Patience(off=off, drain=drain, devices=devices, ready=ready)


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn a flip's own errors into refusals of the command line."""
    from cluster.flip.model import FlipError

    try:
        yield
    except FlipError as error:
        raise exits.RefusedError(str(error)) from None


def _question(plan: Plan) -> str:
    stops = [step.subject for step in plan.steps if step.kind == "stop"]
    starts = [step.subject for step in plan.steps if step.kind == "start"]
    parts = [f"shut down {', '.join(stops)}"] if stops else []
    parts += [f"start {', '.join(starts)}"] if starts else []
    return f"{' and '.join(parts) or f'carry out {len(plan.steps)} steps'}?"


def _show_plan(plan: Plan) -> None:
    from cluster.flip import commands

    for remark in plan.remarks:
        console.say(f"note: {remark}")
    if not plan.steps:
        console.say("there is nothing left to do")
    for number, step in enumerate(plan.steps, 1):
        console.say(f"{number:2}. {step.text}")
        for line in commands.text(step.commands):
            console.say(f"      {line}")


def _show_status(data: dict[str, Any]) -> None:
    console.show_table(
        f"GPUs that {data['stack']} shares",
        ["host", "=address", "driver", "in use by", "cloud", "HPC", "lease"],
        [
            [
                row["host"],
                row["address"],
                row["driver"] if row["there"] else "gone",
                row["held_by"],
                _vms(row["cloud"]),
                _vms(row["hpc"]),
                row["lease"],
            ]
            for row in data["gpus"]
        ],
        "none",
    )
    console.say(f"mode: {data['mode']}")
    if data["mode"] == "in between":
        for row in data["gpus"]:
            console.say(
                f"  {row['host']}/{row['address']}: to serve: {_why(row, 'serve')}; to train: {_why(row, 'train')}"
            )
    flip = data["flip"]
    if flip and flip["open"]:
        _show_open(data["stack"], flip)
    for text in data["problems"]:
        console.say(f"problem: {text}")
    for text in data["remarks"]:
        console.say(f"note: {text}")


def _show_open(stack: str, flip: dict[str, Any]) -> None:
    console.say(f"a flip to {flip['target']} was begun at {flip['started']} and is not through")
    if flip["cut_off_in"]:
        console.say(f"  it was cut off in: {flip['cut_off_in']}")
    if flip["failed"]:
        console.say(f"  it gave up: {flip['failed']}")
    for step in flip["done"]:
        console.say(f"  done: {step['step']} ({step['seconds']:g} s)")
    for text in flip["left"] or ():
        console.say(f"  left: {text}")
    other = "serve" if flip["target"] == "train" else "train"
    console.say(f"  go on: cloudctl flip {flip['target']} --stack {stack}; back: cloudctl flip {other} --stack {stack}")


def _vms(vms: list[dict[str, Any]]) -> str:
    return "\n".join(f"{vm['name']} ({vm['state']})" for vm in vms)


def _why(row: dict[str, Any], target: str) -> str:
    return row[f"to_{target}"] or "in order"
