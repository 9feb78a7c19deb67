"""``cloudctl start`` and ``cloudctl stop``: a stack up from nothing, or its machines off and on again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cloudctl import console, options, project
from cloudctl.commands import up
from cloudctl.exits import CannotTellError

if TYPE_CHECKING:
    from cloudctl.power import Group
    from cluster.settings.model import Settings


def start(
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
) -> None:
    """Start a stack, or its stopped machines.

    If every machine of the stack is there and some are off, those that are off are started through libvirt, control
    planes first, and Pulumi is not called; refused while the HPC cluster holds the lease on one of their GPUs, and
    while a flip is not through. Otherwise this is cloudctl up. With --dry-run: what would be started, or the preview.

    \b
    Examples:
      cloudctl start --stack prod --dry-run
      cloudctl start --stack prod
    """
    from cloudctl import gpu_leases, power
    from cloudctl.virsh import Virsh

    chosen = project.choose(stack, config_file)
    settings = chosen.settings()
    virsh = Virsh()
    groups = _standing(settings, chosen.owner)
    if groups is None:
        raise typer.Exit(up.run(chosen, settings, yes=yes, dry_run=dry_run))
    off = [vm.name for group in groups for vm in group.in_state("shut-off")]
    if not off:
        console.say(f"every machine of {chosen.name} is on")
        raise typer.Exit(up.run(chosen, settings, yes=yes, dry_run=dry_run))
    gpu_leases.refuse_unfinished(chosen)
    gpu_leases.refuse_lent(settings, off)
    if dry_run:
        console.say(f"would start, control planes first: {', '.join(off)}")
        return
    if not yes:
        typer.confirm(f"start {', '.join(off)}?", abort=True)
    power.start(groups, virsh, console.say)
    console.say(f"started; they need some minutes until they are ready: cloudctl status --stack {chosen.name}")


def stop(
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for a group of machines.")] = 180,
) -> None:
    """Shut a stack's machines down.

    Workers first, then control planes. Asks each guest to power off (ACPI) and waits; never pulls the plug, deletes
    nothing. Disks, definitions, GPU leases and Pulumi's state stay, so a GPU stays with its stopped machine until
    pulumi destroy or another plan moves it. Where a VM lacks this stack's owner mark, no VM is touched.
    Needs live hosts, not facts files.

    \b
    Examples:
      cloudctl stop --stack prod --dry-run
      cloudctl stop --stack prod --yes
    """
    from cloudctl import power
    from cloudctl.virsh import Virsh

    chosen = project.choose(stack, config_file)
    virsh = Virsh()
    groups = power.survey(chosen.settings(), chosen.owner, virsh)
    on = [vm.name for group in groups for vm in group.in_state("running", "paused")]
    if not on:
        console.say(f"no machine of {chosen.name} is on")
        return
    if dry_run:
        console.say(f"would shut down, in this order: {', '.join(on)}")
        return
    if not yes:
        typer.confirm(f"shut down {', '.join(on)}?", abort=True)
    power.stop(groups, virsh, timeout, console.say)
    console.say(f"off; switch them on again with: cloudctl start --stack {chosen.name}")


def _standing(settings: Settings, owner: str) -> tuple[Group, Group] | None:
    """Return the stack's machines if all of them are defined; None where some are not, or where nobody can tell."""
    from cloudctl import power
    from cloudctl.virsh import Virsh

    try:
        groups = power.survey(settings, owner, Virsh())
    except CannotTellError as error:
        console.note(f"machines were not looked at: {error}")
        return None
    return None if any(group.in_state("absent") for group in groups) else groups
