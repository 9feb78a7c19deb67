"""``cloudctl preflight``: is every VM, and every way between two of them, fit for Kubernetes?"""

from __future__ import annotations

import typer

from cloudctl import console, exits, options, plays, project


def preflight(
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    json_: options.Json = False,
) -> None:
    """Ask every VM whether it is fit for Kubernetes.

    Access, sudo, names, clocks, memory, disks, kernel, and from every VM to every other: ports, packet size.
    All problems of all VMs in one report, each with what was found, what is wanted and the remedy. The program does the
    same before it installs Kubernetes. Changes nothing. Exit code 1: there is a problem; 3: there are no VMs yet.

    \b
    Examples:
      cloudctl preflight --stack prod
      cloudctl preflight --stack prod --json | jq '.problems[] | .node, .remedy'
    """
    from cluster.preflight import check

    chosen = project.choose(stack, config_file)
    settings, root = chosen.settings(), project.root()
    hosts = plays.inventory(root, chosen.name, settings)
    log = plays.log(root, chosen.name, "preflight")
    report = check(hosts, log, settings, plays.ansible(root), say=plays.progress)
    if json_:
        console.show_json(report.as_json())
    else:
        if report.problems or report.warnings:
            console.console().print(report.as_table())
        for note in report.notes:
            console.say(f"note: {note}")
        console.say(str(report).splitlines()[0])
        console.say(f"log: {report.log}")
    raise typer.Exit(exits.OK if report.ok else exits.REFUSED)
