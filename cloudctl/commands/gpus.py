"""``cloudctl gpus``: who holds which GPU, what a person may change of it, and what the program runs."""

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

    Lays the hosts' GPUs beside the lease file and the stack's plan: leases and since when, cards by serial number
    and UUID, and every difference between the file and what libvirt defines, with what to do about it.

    A GPU counts as held by a VM that merely has it in its definition: libvirt would start that VM any time.
    A lease is void, and its card free, where the VM was not made and the update that would make it is over.
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
    from cluster.leases.update import ended
    from cluster.standing import ready_mark

    chosen = project.choose(stack, config_file, lab=lab)
    settings = chosen.settings()
    book = LeaseFile(project.root() / settings.state).read()
    over = ended(book.leases)  # before the hosts are asked: what these updates made is there by then
    hosts = live.hosts(settings, host_file, need=("domains", "gpus"))
    marks = project.root() / ready_mark(settings, chosen.name, "")
    ready = {path.name for path in marks.iterdir()} if marks.is_dir() else set()
    data = view.report(settings, hosts, book, over, chosen.owner, ready)
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


@app.command("check")
def check(stack: options.Stack = None, config_file: options.ConfigFile = None, json_: options.Json = False) -> None:
    """See whether CUDA works on every GPU node, with whatever driver is there; nothing is changed.

    A container adds vectors on a card of each node. Where models have all cards of a node it is not tried: no model
    has to go for it. Tells also of a change of driver that was begun and is not over.
    Exit code 1: CUDA does not work somewhere, or a change of driver is not over; 3: the cluster could not be asked.

    \b
    Examples:
      cloudctl gpus check --stack prod
      cloudctl gpus check --stack prod --json | jq '.nodes[] | select(.works | not)'
    """
    from cloudctl import cuda

    data = cuda.report(project.choose(stack, config_file), cuda.Quiet())
    if json_:
        console.show_json(data)
    else:
        for row in data["nodes"]:
            console.say(row["text"])
        if last := data["unfinished"] or ("" if data["nodes"] else "the stack has no GPUs"):
            console.say(last)
    raise typer.Exit(exits.OK if cuda.healthy(data) else exits.REFUSED)


@app.command("release")
def release(
    host: Host,
    gpu: Gpu,
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    host_file: options.HostFile = None,
    lab: options.Lab = False,
    wrong: Annotated[
        bool, typer.Option("--wrong", help="The lease is wrong: another VM has the card, and keeps it.")
    ] = False,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
) -> None:
    """Drop the lease of a card that no VM defines.

    For what no update will give back: a lease taken by hand, or of a stack that is gone. Refused where any VM has the
    card in its definition, and where an update that is about to make the lease's VM still runs. A lease that says one
    VM while another has the card goes by --wrong; the definition is left alone. The stack is only asked for its hosts
    and its lease file: the lease may be anybody's.
    Exit code 1: refused; 3: the host could not be asked.

    \b
    Examples:
      cloudctl gpus release --host ws --gpu 0000:3b:00.0 --dry-run
      cloudctl gpus release --host ws --gpu 0000:3b:00.0 --yes
    """
    from cloudctl import gpu_leases

    address = _address(gpu)
    found = gpu_leases.look(project.choose(stack, config_file, lab=lab), host, address, host_file)
    if found.lease is None:
        console.say(f"nobody holds a lease on GPU {address} of host {host}")
        return
    found.refuse(wrong=wrong)
    what = f"the lease of {found.lease.vm} ({found.lease.owner}) on GPU {found.lease.gpu} of host {host}"
    if found.lease.gpu != address:
        what += f", with which {address} moves"
    if dry_run:
        console.say(f"would drop {what}, held since {found.lease.since}")
        return
    if not yes:
        typer.confirm(f"drop {what}, held since {found.lease.since}?", abort=True)
    found.drop()
    console.say(f"dropped {what}")


@app.command("accept")
def accept(
    host: Host,
    gpu: Gpu,
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    lab: options.Lab = False,
    dry_run: options.DryRun = False,
) -> None:
    """Forget which card, and which IOMMU group, a stack last saw at an address.

    After a card was swapped on purpose, or its group changed for good: the next update takes what is there then.
    What the settings say of the card (serial, uuid) still has to be true.

    \b
    Examples:
      cloudctl gpus accept --host ws --gpu 0000:3b:00.0 --stack prod --dry-run
      cloudctl gpus accept --host ws --gpu 0000:3b:00.0 --stack prod
    """
    from cluster.leases import LeaseFile

    address = _address(gpu)
    chosen = project.choose(stack, config_file, lab=lab)
    file = LeaseFile(project.root() / chosen.settings().state)
    seen = file.read().seen_by(chosen.owner).get((host, address))
    if seen is None:
        console.say(f"stack {chosen.name} has seen no card at {address} of host {host} yet")
        return
    told = f"{seen.vendor_device}, serial number {seen.serial or 'not known'}, UUID {seen.uuid or 'not known'}"
    what = f"what was seen at {address} of host {host} at {seen.at}: {told}; group: {', '.join(seen.group) or '-'}"
    if dry_run:
        console.say(f"would forget {what}")
        return
    file.change(lambda book: book.forget(chosen.owner, host, address))
    console.say(f"forgot {what}")


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
    console.show_table(
        "Leases",
        ["host", "=address", "VM", "owner", "=since", "state"],
        [
            [row["host"], row["address"], row["vm"], row["owner"], row["since"], _STATES[row["state"]]]
            for row in data["leases"]
        ],
        "none",
    )
    console.show_table(
        "Cards, as their driver tells them or as this stack last saw them",
        ["host", "=address", "serial number", "=UUID"],
        [[row["host"], row["address"], *_identity(row)] for row in data["gpus"]],
        "none",
    )
    free = ", ".join(f"{each['address']} on {each['host']}" for each in data["free"])
    console.say(f"free: {free or 'none'}")
    for text in data["problems"]:
        console.say(f"problem: {text}")
    for text in data["notes"]:
        console.say(f"note: {text}")
    for text in data["unknown"]:
        console.say(f"unknown: {text}")


_STATES = {
    "made": "in the VM",
    "making": "being made",
    "void": "void: not made",
    "by-hand": "kept, not made",
    "unknown": "not known",
}


def _identity(row: dict[str, Any]) -> list[str | None]:
    """Return a card's serial number and UUID: a card that a VM holds tells neither, so what was seen stands in."""
    seen = row["seen"] or {}
    return [row[key] or seen.get(key) for key in ("serial", "uuid")]
