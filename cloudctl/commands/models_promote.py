"""``cloudctl models promote``, ``rollback`` and ``history``: which version of a model serves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cloudctl import console, exits, options, project

if TYPE_CHECKING:
    from cluster.promotion.model import Mode as PromotionMode
    from cluster.promotion.model import Outcome, Period
    from cluster.promotion.run import Promotion


class How(StrEnum):
    """How a version comes into service."""

    auto = "auto"
    share = "share"
    swap = "swap"


Name = Annotated[str, typer.Argument(help="The model, as the stack file names it.", metavar="NAME")]
Back = Annotated[
    str | None,
    typer.Argument(
        help="A version that served before; left out: the last one that no rollback left.", metavar="[VERSION]"
    ),
]
Number = Annotated[str, typer.Argument(help="MLflow's number of the version.", metavar="VERSION")]
Smoke = Annotated[
    Path | None,
    typer.Option("--smoke", help='What to ask: {"request": {...}, "expect": {...}}, as JSON.', metavar="FILE"),
]
Mode = Annotated[How, typer.Option("--mode", help="Beside the running version, in its place, or as GPUs allow.")]
Samples = Annotated[int, typer.Option("--samples", min=20, help="Answers that are measured of each version.")]
Ratio = Annotated[float, typer.Option("--ratio", min=1, help="P95 allowed, times the running version's.")]
Slack = Annotated[float, typer.Option("--slack", min=0, help="Milliseconds of P95 allowed beyond that.")]
Share = Annotated[int, typer.Option("--share", min=1, max=99, help="Percent of requests that it gets first.")]
Ready = Annotated[
    float, typer.Option("--ready-timeout", min=1, help="Seconds until a version has to be ready.", metavar="SECONDS")
]


def promote(
    name: Name,
    version: Number,
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    smoke: Smoke = None,
    mode: Mode = How.auto,
    samples: Samples = 200,
    ratio: Ratio = 1.2,
    slack: Slack = 5.0,
    share: Share = 20,
    ready_timeout: Ready = 1800,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    json_: options.Json = False,
) -> None:
    """Bring a version of a registered model into service, if it is as good as the one that runs.

    Its stored files are held to their digest, it is started and asked, and its P95 is measured against the running
    version's. Where GPUs are free it runs beside it and gets a share of the requests first; else it takes its place.
    If anything fails, the running version goes on or comes back by itself. Then the alias in MLflow names the new
    version, so that a restart and the next pulumi up keep it. Killed on its way it goes on by the same command.

    Exit code 1: not promoted, and what ran before runs; 3: nor could that be brought back.

    \b
    Examples:
      cloudctl models promote assistant 7 --stack prod --dry-run
      cloudctl models promote classifier 3 --stack prod --smoke iris.json
      cloudctl models promote assistant 7 --stack prod --mode swap --ratio 1.5
    """
    from cloudctl.promoting import place
    from cluster.promotion.model import Gate
    from cluster.promotion.plan import TEXTS

    chosen = project.choose(stack, config_file)
    again = f"cloudctl models promote {name} {version} --stack {chosen.name}" + (f" --smoke {smoke}" if smoke else "")
    gate = Gate(samples=samples, ratio=ratio, slack_ms=slack, share=share)
    wished: PromotionMode | None = None if mode is How.auto else ("share" if mode is How.share else "swap")
    with place.refusals():
        mine = place.promotion(chosen, name, smoke, ready_timeout, _say(json_), again)
        if dry_run or not yes:
            planned, left = mine.planned(version, wished)
            if dry_run:
                texts = [TEXTS[step] for step in left]
                data = {"model": name, "version": version, "mode": planned, "steps": texts}
                console.show_json(data) if json_ else _show_plan(planned, texts)
                return
            typer.confirm(f"bring version {version} of {name} into service ({planned})?", abort=True, err=json_)
        outcome = _through(name, mine, lambda: mine.promote(version, gate, wished), json_)
        _end(name, outcome, json_, wanted=outcome.promoted)


def rollback(
    name: Name,
    version: Back = None,
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    ready_timeout: Ready = 1800,
    yes: options.Yes = False,
    json_: options.Json = False,
) -> None:
    """Go back to the version that served before; a promotion that is not through is taken back.

    The alias in MLflow is moved and the service restarted; there is no gate, because that version was in service.
    Typed again it goes further back, not to what it has just left: a version that a rollback left is gone back to only
    by its name, until it is promoted again. Exit code 1: it did not get ready, and what ran before runs; 3: nor that.

    \b
    Examples:
      cloudctl models rollback assistant --stack prod
      cloudctl models rollback assistant 5 --stack prod
    """
    from cloudctl.promoting import place

    chosen = project.choose(stack, config_file)
    again = " ".join(["cloudctl models rollback", name, *([version] if version else []), "--stack", chosen.name])
    with place.refusals():
        mine = place.promotion(chosen, name, None, ready_timeout, _say(json_), again)
        if not yes:
            where = f"version {version}" if version else "the version before"
            typer.confirm(f"take {name} back to {where}?", abort=True, err=json_)
        outcome = _through(name, mine, lambda: mine.rollback(version), json_)
        _end(name, outcome, json_, wanted=outcome.back)


def history(
    name: Name, stack: options.Stack = None, config_file: options.ConfigFile = None, json_: options.Json = False
) -> None:
    """Say which version of a model served when, as MLflow's tags have it.

    \b
    Example:
      cloudctl models history assistant --stack prod --json | jq '.[-1].version'
    """
    from cloudctl.promoting import place

    chosen = project.choose(stack, config_file)
    model = place.model_of(chosen.settings(), name)
    with place.refusals():
        found = place.registry(chosen, model).history()
    if json_:
        console.show_json([asdict(period) for period in found])
        return
    rows = [[each.version, each.since, _until(each), each.by] for each in found]
    console.show_table(f"versions of {name}", [">version", "since", "until", "by"], rows, "none was promoted yet")


def _until(period: Period) -> str:
    return f"{period.until} (taken back)" if period.until and period.taken_back else period.until or "serves"


def _through(name: str, mine: Promotion, go: Callable[[], Outcome], json_: bool) -> Outcome:
    from cluster.promotion.model import UnsettledError

    try:
        return go()
    except UnsettledError as error:
        console.note(str(error))
        if json_:
            console.show_json({"model": name, **asdict(error.outcome)})
        raise typer.Exit(exits.UNKNOWN) from None
    except KeyboardInterrupt:
        console.note(f"cut off; go on with: {mine.again}; or back: cloudctl models rollback")
        raise


def _end(name: str, outcome: Outcome, json_: bool, *, wanted: bool) -> None:
    if json_:
        console.show_json({"model": name, **asdict(outcome)})
    elif outcome.promoted:
        console.say(f"version {outcome.version} of {name} serves")
    else:
        nothing = "nothing served before, and nothing serves now"
        stands = f"version {outcome.before} serves as before" if outcome.before else nothing
        console.say(f"version {outcome.version} of {name} was not promoted: {outcome.failed}\n{stands}")
    raise typer.Exit(exits.OK if wanted else exits.REFUSED)


def _show_plan(mode: str, texts: list[str]) -> None:
    console.say("both versions beside each other" if mode == "share" else "one version in the other's place")
    for number, text in enumerate(texts, 1):
        console.say(f"{number:2}. {text}")


def _say(json_: bool) -> Any:
    return console.note if json_ else console.say
