"""``cloudctl host exporters``: measure the hypervisors, by packages that are put in, and taken away again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cloudctl import console, exits, options, project
from cluster.problems import InputError, Problem

if TYPE_CHECKING:
    from cloudctl.exporting import Done
    from cluster.monitoring.exporters import Answer

Hosts = Annotated[
    list[str] | None, typer.Option("--host", help="Only this host of the stack; may be repeated.", metavar="NAME")
]
Listen = Annotated[
    str | None,
    typer.Option(
        "--listen",
        help="The one address that they listen at; left out: the gateway of the VMs' network.",
        metavar="ADDRESS",
    ),
]
Install = Annotated[bool, typer.Option("--install", help="Put them in.")]
Remove = Annotated[bool, typer.Option("--remove", help="Take away what --install put in, and nothing else.")]


def exporters(
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    host: Hosts = None,
    install: Install = False,
    remove: Remove = False,
    listen: Listen = None,
    dry_run: options.DryRun = False,
    yes: options.Yes = False,
    json_: options.Json = False,
) -> None:
    """Show, put in or take away the exporters that measure a stack's hosts.

    Without --install or --remove: whether those that hosts[].exporters names answer, asked from here. Changes nothing.

    --install puts Debian's (Ubuntu's) packages on the hosts: a node exporter, a libvirt exporter, and collectors of
    the health of disks (SMART, NVMe). They listen at one address, where VMs reach their host, and never at all of
    them. It needs root there: this user's sudo, without a password. What was there before is not touched. It prints
    the lines for the stack file; pulumi up then makes Prometheus ask.

    --remove takes away the packages that --install put in, unless something else has come to need them.

    Exit code 1: an exporter does not answer, or nothing could be done; 3: a host could not be asked.

    \b
    Examples:
      cloudctl host exporters --stack prod
      cloudctl host exporters --stack prod --install --dry-run
      cloudctl host exporters --stack prod --install
      cloudctl host exporters --stack prod --remove --host workstation
    """
    from cloudctl import exporting

    chosen = project.choose(stack, config_file)
    settings = chosen.settings()
    hosts = exporting.chosen_hosts(settings, host or ())
    if install and remove:
        raise InputError("command line", [Problem("--remove", None, "is given beside --install", "take one")])
    if not install and not remove:
        from cluster.monitoring.exporters import ask

        raise typer.Exit(_show(ask(hosts), json_=json_))
    address = exporting.listen_at(settings, hosts, listen)
    names = ", ".join(each.name for each in hosts)
    what = f"put exporters on {names}, listening at {address}" if install else f"take the exporters off {names}"
    if not dry_run and not yes:
        typer.confirm(f"{what}?", abort=True, err=json_)
    state = "present" if install else "absent"
    done = exporting.play(project.root(), chosen.name, hosts, state, address, dry_run=dry_run)
    if json_:
        console.show_json({"dry_run": dry_run, "changes": done.changes, "hosts": done.told, "log": str(done.log)})
    else:
        _say(done, dry_run=dry_run)


def _show(answers: list[Answer], *, json_: bool) -> int:
    rows = [
        {
            "host": each.host,
            "exporter": each.exporter,
            "address": each.address,
            "ok": None if each.address is None else each.error is None,
            "series": each.series,
            "error": each.error,
        }
        for each in answers
    ]
    if json_:
        console.show_json(rows)
    else:
        console.show_table(
            "Exporters of the hosts",
            ["=host", "=exporter", "=address", "says"],
            [[row["host"], row["exporter"], row["address"], _word(row)] for row in rows],
            "none",
        )
        if all(each.address is None for each in answers):
            console.say("none is named in hosts[].exporters; put some there: cloudctl host exporters --install")
    return exits.REFUSED if any(each.error for each in answers) else exits.OK


def _word(row: dict[str, Any]) -> str:
    if row["ok"] is None:
        return "not in the settings"
    return f"{row['series']} series" if row["ok"] else str(row["error"])


def _say(done: Done, *, dry_run: bool) -> None:
    from cluster.monitoring.exporters import lines

    for host, told in done.told.items():
        console.say(f"{host}: packages of ours: {', '.join(told.get('ours', [])) or 'none'}")
        for each in told.get("left", []):
            console.say(f"{host}: {each} was there before and is not touched; name its address in hosts[].exporters")
        wanted = lines(host, told.get("addresses", {}))
        if wanted and not dry_run:
            console.say("in the stack file, under inference-cloud:hosts:")
            for line in wanted:
                console.say(f"  {line}")
    verb = "would be changed; nothing was" if dry_run else "changed"
    console.say(f"{done.changes} things {verb} (log: {done.log})")
