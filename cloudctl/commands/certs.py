"""``cloudctl certs``: until when the certificates of a stack hold, and new ones for Kubernetes."""

from __future__ import annotations

import typer

from cloudctl import console, exits, options, plays, project

app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)


@app.callback()
def certs(
    context: typer.Context,
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    json_: options.Json = False,
) -> None:
    """List a stack's certificates and when they end.

    The one that ends first is at the top. What lies on the nodes (by SSH; certificates only, no key leaves a node),
    what API servers, kubelets and the gateway show, what cert-manager keeps, and the administrator's own kubeconfig.
    What cannot be asked is "unknown", with the reason. Exit code 1: one has ended or ends soon, in 30 days for
    Kubernetes', 7 for cert-manager's, 180 for an authority.

    \b
    Examples:
      cloudctl certs --stack prod
      cloudctl certs --stack prod --json | jq '.certificates[] | select(.state != "valid")'
      cloudctl certs renew --stack prod --dry-run
    """
    if context.invoked_subcommand is not None:
        return
    from cloudctl.certificates import Certificates
    from cloudctl.views import certs as view

    chosen = project.choose(stack, config_file)
    settings, root = chosen.settings(), project.root()
    log = plays.log(root, chosen.name, "certificates")
    kubeconfig = root / ".cloud" / chosen.name / "kubeconfig"
    found = view.rows(Certificates(chosen.name, settings, root, kubeconfig).thoroughly(log))
    problems = view.problems(found)
    if json_:
        console.show_json({"stack": chosen.name, "certificates": found, "problems": problems})
    else:
        view.show(f"Certificates of {chosen.name}", found, "none")
        for problem in problems:
            console.say(f"problem: {problem}")
    raise typer.Exit(exits.REFUSED if problems else exits.OK)


@app.command("renew")
def renew(
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
) -> None:
    """Give Kubernetes new certificates now, one node after the other; authorities stay.

    Not needed while the timers on the nodes do it. kubeadm and Kubespray: kubeadm renews, and the control plane's pods
    start anew; k3s: its own command, while it stands still for a moment. Pods go on running. Afterwards the
    administrator's kubeconfig is fetched anew. cert-manager's are its own business: docs/runbooks/certificates.md.
    Exit code 1: a node failed; run the same again, those before it are not harmed by it.

    \b
    Examples:
      cloudctl certs renew --stack prod --dry-run
      cloudctl certs renew --stack prod
    """
    from datetime import UTC, datetime

    from cluster.ansible import Play, play
    from cluster.certificates import refetch
    from cluster.steps.inputs import step_environment

    chosen = project.choose(stack, config_file)
    settings, root = chosen.settings(), project.root()
    inventory, ansible = plays.inventory(root, chosen.name, settings), plays.ansible(root)
    control = [machine.name for machine in settings.by_role("control-plane")]
    agents = [machine.name for machine in settings.machines if machine.role != "control-plane"]
    how = "k3s certificate rotate" if settings.kubernetes.provisioner == "k3s" else "kubeadm certs renew all"
    order = [*control, *(agents if settings.kubernetes.provisioner == "k3s" else [])]
    if dry_run:
        console.say(f"would run {how} on {', then '.join(order)}, and fetch the kubeconfig anew; nothing was done")
        return
    if not yes:
        typer.confirm(f"run {how} on {', then '.join(order)}? the API of each is away for a moment", abort=True)
    log = plays.log(root, chosen.name, "certificates-renew")
    target = root / ".cloud" / chosen.name / "kubeconfig"
    address = step_environment(settings, chosen.name).get("API_ADDRESS", "")
    told = {"kubeconfig_file": str(target.absolute()), "api_address": address}
    for playbook, extra in (("certificates_renew.yml", {}), ("kubeconfig.yml", told)):
        outcome = play(Play(playbook, inventory, log, ansible=ansible, extra=extra), _watch)
        if not outcome.done:
            said = "; ".join(f"{each.host}: {' '.join(each.message.split())}" for each in outcome.failures[:3])
            raise exits.RefusedError(f"{playbook} failed: {said or 'see its log'}; log: {log}; then run this again")
    refetch.renewed(target.parent, datetime.now(UTC))
    console.say(f"renewed on {', '.join(order)}; {target} is new")
    console.say(
        "the stack's state still holds the earlier kubeconfig, which goes on working until it ends; the next update"
        f" takes the new one: pulumi up --stack {chosen.name}"
    )


def _watch(event: object) -> None:
    from cluster.ansible import Task

    if isinstance(event, Task):
        plays.progress(event.name)
