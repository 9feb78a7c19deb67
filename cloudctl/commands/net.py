"""``cloudctl net check``: every way between two VMs, and the first hop that is broken."""

from __future__ import annotations

import typer

from cloudctl import console, exits, options, plays, project

app = typer.Typer(help="Look into the network of a stack's VMs.", no_args_is_help=True)


@app.callback()
def net() -> None:
    """Look into the network of a stack's VMs."""


@app.command("check")
def check(
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    json_: options.Json = False,
) -> None:
    """Try every way between two VMs, and between their pods where there is a cluster.

    Ping, ports, packets of full size, throughput by a short transfer, names, pods, services. Where a way is broken, the
    first hop that is: the VM itself, its gateway, the other host, the other VM, a port, the packet size, the pod
    network. Changes nothing. Exit code 1: a way is broken; 3: there are no VMs yet.

    \b
    Examples:
      cloudctl net check --stack prod
      cloudctl net check --stack prod --json | jq '.ways[] | select(.hop)'
    """
    from cloudctl.views import net as view
    from cluster import net as cluster_net

    chosen = project.choose(stack, config_file)
    settings, root = chosen.settings(), project.root()
    hosts = plays.inventory(root, chosen.name, settings)
    log = plays.log(root, chosen.name, "net-check")
    found = cluster_net.check(hosts, log, settings, plays.ansible(root), say=plays.progress)
    if json_:
        console.show_json(found.as_json())
    else:
        view.show(found)
    raise typer.Exit(exits.OK if found.ok else exits.REFUSED)
