"""``cloudctl up``: an update that goes on from whatever an earlier one left, and says why where it fails."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cloudctl import console, exits, options, project
from cloudctl.exits import CannotTellError
from cluster.problems import InputError

if TYPE_CHECKING:
    from cloudctl.project import Stack
    from cloudctl.recovering import Recovering
    from cluster.settings.model import Settings


def up(
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
) -> None:
    """Bring a stack to what its settings say.

    This is pulumi up with the policy pack, and what belongs around it. First it takes up what an earlier run left that
    failed or was killed (see cloudctl recover), without a question, since nothing is lost by it, and says it in one
    line, if there was anything. Then pulumi up previews, asks and changes.
    Where that fails, each cause follows in three lines: what failed, why, what to do (see cloudctl explain); and a VM
    that was defined and could not start is undefined again, so that its GPUs are free. Where libvirt's plugin stands
    still for minutes, that is said as well.
    With --dry-run: the preview only. Exit code 1: it failed, or was refused.

    \b
    Examples:
      cloudctl up --stack prod --dry-run
      cloudctl up --stack prod
    """
    chosen = project.choose(stack, config_file)
    raise typer.Exit(run(chosen, chosen.settings(), yes=yes, dry_run=dry_run))


def run(chosen: Stack, settings: Settings, *, yes: bool, dry_run: bool) -> int:
    """Do what ``cloudctl up`` does, and return its exit code."""
    from cloudctl.engine import Engine
    from cloudctl.recovering import Recovering, take_up
    from cloudctl.watching import watched

    engine = Engine(project.root())
    recovering = Recovering(chosen, engine)
    words = ["preview" if dry_run else "up", "--stack", chosen.name]
    words += ["--policy-pack", "policies"]
    if chosen.file != project.root() / f"Pulumi.{chosen.name}.yaml":
        words += ["--config-file", str(chosen.file)]
    if yes and not dry_run:
        words.append("--yes")
    if not dry_run:
        take_up(recovering, console.note)
    console.note(f"pulumi {' '.join(words)}")
    with tempfile.TemporaryDirectory() as folder:
        events = Path(folder) / "events.jsonl"
        with watched(events, chosen.name, console.note):
            status = engine.attended(words, events)
        if status == 0:
            return exits.OK
        if not dry_run:
            _give_back(recovering)
        _explain(events, settings, chosen.name)
    return exits.REFUSED


def _give_back(recovering: Recovering) -> None:
    """Undefine VMs that the failed update has defined and could not start."""
    try:
        dead = recovering.unstarted()
        recovering.clear(dead)
    except (CannotTellError, InputError):
        return  # nobody to ask; the next run looks again
    for each in dead:
        console.note(f"{each}; it is undefined again, its disk is kept and its GPUs are free")


def _explain(events: Path, settings: Settings, stack: str) -> None:
    """Print what is known of each failure; what nobody knows the engine has printed itself."""
    from cloudctl import failures
    from cloudctl.commands.explain import show

    text = events.read_text() if events.exists() else ""
    uri = settings.hosts[0].uri if len(settings.hosts) == 1 else "URI"
    known = [each for each in failures.explain(failures.read(text).failures, uri, stack) if each.remedy]
    if known:
        console.say("\nwhat failed, why, and what to do:")
        show(known)
