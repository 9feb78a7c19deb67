"""``cloudctl recover``: after an update that was cut off, bring the state back to the truth."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from cloudctl import console, exits, options, project


def recover(
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    lab: options.Lab = False,
    strays: Annotated[
        bool, typer.Option("--strays", help="Also look for what the next up would create: it may be there already.")
    ] = False,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    json_: options.Json = False,
) -> None:
    """Mend a stack whose update was cut off.

    Afterwards the next pulumi up goes on. When the engine dies while something is created, the thing may exist and the
    state does not know it; the next up would clash with it. What this stack creates has ids that can be foretold: each
    is looked up, and is in the state afterwards exactly if it is there. Commands are simply run again by the next up.
    Nothing is created or deleted; a pool or network of ours that was defined and never started is started.

    Where a provider lost its connection, the engine forgets what it had begun, and the next up says "already exists":
    --strays finds such things too; it takes a preview. Where the stack is still locked by the update that died, run
    pulumi cancel first.

    \b
    Examples:
      cloudctl recover --stack prod --dry-run
      cloudctl recover --stack prod
      cloudctl recover --stack prod --strays
    """
    from cloudctl.engine import for_stack
    from cluster.recovery import plan_recovery, with_strays

    chosen = project.choose(stack, config_file, lab=lab)
    engine = for_stack(project.root(), chosen.name, lab=lab)
    export = engine.export(chosen.name)
    if not lab:
        # First: a preview is refused while our pool is stopped.
        _finish_halfway(chosen, yes=yes, dry_run=dry_run)
    if strays:
        export = with_strays(export, engine.preview(chosen.name, chosen.file))
    plan = plan_recovery(export)
    if json_:
        shown = {"needed": plan.needed, "look_up": plan.refresh, "run_again": plan.again, "unclear": plan.unclear}
        console.show_json(shown)
    else:
        _show(plan.needed, {"look up": plan.refresh, "run again": plan.again, "cannot be found by an id": plan.unclear})
    if dry_run or not plan.needed:
        return
    if not yes:
        typer.confirm(f"mend the state of {chosen.name}?", abort=True)
    engine.import_state(chosen.name, json.dumps(plan.deployment), beside=chosen.file)
    if plan.refresh:
        targets = [f"--target={urn}" for urn in plan.refresh]
        words = ["refresh", "--yes", "--skip-preview", "--stack", chosen.name, "--config-file", str(chosen.file)]
        if engine.attended([*words, *targets]) != 0:
            raise exits.RefusedError("the refresh failed, see above; mend the cause and run cloudctl recover again")
    if not json_:
        console.say(f"{chosen.name} is ready for the next pulumi up")


def _finish_halfway(chosen: project.Stack, *, yes: bool, dry_run: bool) -> None:
    from cloudctl import halfway
    from cloudctl.virsh import Virsh

    virsh = Virsh()
    found = halfway.find(chosen.settings(), chosen.name, virsh)
    for each in found:
        console.note(f"{each}")
    if found and not dry_run:
        if not yes:
            typer.confirm("start what was never started?", abort=True)
        halfway.finish(found, virsh, console.note)


def _show(needed: bool, groups: dict[str, tuple[str, ...]]) -> None:
    if not needed:
        console.say("no update was cut off: there is nothing to recover")
    for what, urns in groups.items():
        for urn in urns:
            console.say(f"{what}: {urn.rsplit('::', 1)[-1]} ({urn.split('::')[2].rsplit('$', 1)[-1]})")
