"""``cloudctl gpus``: who holds which GPU; and the two lease commands that the program runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cloudctl import console, exits, options, project
from cluster.problems import InputError, Problem

app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)

State = Annotated[Path, typer.Option("--state", help="The lease file.", metavar="FILE")]
Host = Annotated[str, typer.Option("--host", help="The host's name in the settings.")]
Gpu = Annotated[str, typer.Option("--gpu", help="The GPU's PCI address, 0000:3b:00.0.", metavar="ADDRESS")]
Owner = Annotated[str, typer.Option("--owner", help="Who takes it: cloud/<stack>.", metavar="OWNER")]
Vm = Annotated[str, typer.Option("--vm", help="The VM that gets it.")]


@app.callback()
def gpus(
    context: typer.Context,
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    host_file: options.HostFile = None,
    lab: options.Lab = False,
    json_: options.Json = False,
) -> None:
    """Show who holds which GPU, and what is free.

    Lays the hosts' GPUs beside the lease file and the stack's plan.

    A GPU counts as held by a VM that merely has it in its definition: libvirt would start that VM any time.
    Exit code 1: what is planned, leased and held does not agree; 3: a host could not be asked.

    \b
    Examples:
      cloudctl gpus --stack prod
      cloudctl gpus --stack prod --json | jq '.free'
      cloudctl gpus --stack prod --host-file lab/hosts/workstation.yaml
    """
    if context.invoked_subcommand is not None:
        return
    from cloudctl import live
    from cloudctl.views import gpus as view
    from cluster.leases import LeaseFile

    chosen = project.choose(stack, config_file, lab=lab)
    settings = chosen.settings()
    leases = LeaseFile(project.root() / settings.state).all()
    hosts = live.hosts(settings, host_file, need=("domains", "gpus"))
    data = view.report(settings, hosts, leases, chosen.owner)
    if json_:
        console.show_json(data)
    else:
        _show(data)
    if data["unknown"]:
        raise typer.Exit(exits.UNKNOWN)
    raise typer.Exit(exits.REFUSED if data["problems"] else exits.OK)


@app.command("lease")
def lease(state: State, host: Host, gpu: Gpu, owner: Owner, vm: Vm) -> None:
    """Take a GPU for a VM. The program runs this before it makes the VM; taking it twice for the same VM is no error.

    \b
    Example:
      cloudctl gpus lease --state .cloud/state.json --host ws --gpu 0000:3b:00.0 \\
        --owner cloud/prod --vm gpu-1
    """
    from cluster.leases import LeaseFile

    LeaseFile(state).take(host, _address(gpu), owner, vm)


@app.command("give-back")
def give_back(state: State, host: Host, gpu: Gpu, owner: Owner, vm: Vm) -> None:
    """Give a VM's GPU back. Giving back what is not taken is no error; another's lease is left alone.

    \b
    Example:
      cloudctl gpus give-back --state .cloud/state.json --host ws --gpu 0000:3b:00.0 \\
        --owner cloud/prod --vm gpu-1
    """
    from cluster.leases import LeaseFile

    LeaseFile(state).give_back(host, _address(gpu), owner, vm)


def _address(text: str) -> str:
    from cluster.types import parse_pci

    try:
        return parse_pci(text)
    except ValueError as error:
        reason, _, remedy = str(error).partition("; ")
        raise InputError("command line", [Problem("--gpu", text, reason, remedy)]) from None


def _show(data: dict[str, Any]) -> None:
    from cluster.types import gb

    console.show_table(
        f"GPUs, seen from {data['owner']}",
        ["host", "=address", "model", ">memory", "=state", "VM", "owner", "plan"],
        [
            [
                row["host"],
                row["address"],
                (row["model"] or "").removeprefix("NVIDIA "),
                gb(row["memory_mib"]) if row["memory_mib"] else None,
                row["state"],
                f"{row['vm']}\n({row['vm_state']})" if row["vm_state"] else row["vm"],
                row["owner"],
                row["planned_for"],
            ]
            for row in data["gpus"]
        ],
        "none on the stack's hosts",
    )
    free = ", ".join(f"{each['address']} on {each['host']}" for each in data["free"])
    console.say(f"free: {free or 'none'}")
    for text in data["problems"]:
        console.say(f"problem: {text}")
    for text in data["unknown"]:
        console.say(f"unknown: {text}")
