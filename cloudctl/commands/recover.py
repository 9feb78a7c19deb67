"""``cloudctl recover``: after an update that was cut off, bring the state back to the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cloudctl import console, options, project

if TYPE_CHECKING:
    from cloudctl.recovering import Recovering


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
    Nothing else is created or deleted; a pool or network of ours that was defined and never started is started, and a
    VM that was defined and could not start is undefined, which gives its GPUs back. cloudctl up and make up do all of
    this themselves. Refused: a VM that libvirt takes for starting for ever, since its daemon died over it; what to do
    on the host is said.

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
    from cloudctl.recovering import Recovering

    chosen = project.choose(stack, config_file, lab=lab)
    recovering = Recovering(chosen, for_stack(project.root(), chosen.name, lab=lab), live=not lab)
    # First: a preview is refused while our pool is stopped.
    _mend_hosts(recovering, yes=yes, dry_run=dry_run)
    plan = recovering.plan(strays=strays)
    if json_:
        shown = {"needed": plan.needed, "look_up": plan.refresh, "run_again": plan.again, "unclear": plan.unclear}
        console.show_json(shown)
    else:
        _show(plan.needed, {"look up": plan.refresh, "run again": plan.again, "cannot be found by an id": plan.unclear})
    if dry_run or not plan.needed:
        return
    if not yes:
        typer.confirm(f"mend the state of {chosen.name}?", abort=True)
    recovering.mend(plan)
    if not json_:
        console.say(f"{chosen.name} is ready for the next pulumi up")


def _mend_hosts(recovering: Recovering, *, yes: bool, dry_run: bool) -> None:
    recovering.refuse_stuck(console.note)
    stopped, dead = recovering.halfway(), recovering.unstarted()
    for each in (*stopped, *dead):
        console.note(f"{each}")
    if dry_run:
        return
    if stopped and (yes or typer.confirm("start what was never started?", abort=True)):
        recovering.start(stopped, console.note)
    if dead and (yes or typer.confirm("undefine the VMs that could not start? their disks are kept", abort=True)):
        recovering.clear(dead)
        console.note("undefined; their GPUs are free")


def _show(needed: bool, groups: dict[str, tuple[str, ...]]) -> None:
    if not needed:
        console.say("no update was cut off: there is nothing to recover")
    for what, urns in groups.items():
        for urn in urns:
            console.say(f"{what}: {urn.rsplit('::', 1)[-1]} ({urn.split('::')[2].rsplit('$', 1)[-1]})")
