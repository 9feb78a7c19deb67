"""``cloudctl status``: phases, machines, nodes, services and whether they answer, endpoints of a stack."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cloudctl import console, exits, options, project

if TYPE_CHECKING:
    from cluster.health.model import Check
    from cluster.settings.model import Settings


def status(
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    lab: options.Lab = False,
    json_: options.Json = False,
) -> None:
    """Show how far a stack is and how it does.

    Phases, VMs, nodes, services, endpoints. Phases come from the stack's state in Pulumi's backend, VM states from
    libvirt, node states from Kubernetes; what cannot be asked says "unknown" and why. Each service is asked by its own
    API: object store and MLflow for their health, PostgreSQL a query, models their readiness; through kubectl, or at
    the address that AWS_ENDPOINT_URL, MLFLOW_TRACKING_URI or DATABASE_URL names. Certificates are those that servers
    show and that cert-manager keeps (cloudctl certs has all). Backups are what was last made from here.
    Exit code 1: not all there, or not healthy; 3: nothing is wrong, but a service could not be asked.

    \b
    Examples:
      cloudctl status --stack prod
      cloudctl status --stack prod --json | jq '.endpoints'
      cloudctl status --lab --stack prod     the rehearsal that make lab made
    """
    from cloudctl import engine, live
    from cloudctl.views import status as view
    from cluster.problems import InputError

    chosen = project.choose(stack, config_file, lab=lab)
    export = engine.for_stack(project.root(), chosen.name, lab=lab).export(chosen.name)
    extra: list[str] = []
    try:
        settings = chosen.settings()
    except InputError as error:
        settings = None
        extra = str(error).splitlines()
    hosts = live.hosts(settings, need=("domains",)) if settings else {}
    kubeconfig = project.root() / ".cloud" / chosen.name / "kubeconfig"
    nodes = live.nodes(settings, kubeconfig) if settings else "the settings cannot be read"
    data = view.report(chosen.name, export, settings, hosts, nodes, _answers(chosen, settings, kubeconfig, export))
    data["problems"] += extra
    _more(data, chosen, settings)
    if json_:
        console.show_json(data)
    else:
        _show(data)
    raise typer.Exit({True: exits.OK, False: exits.REFUSED, None: exits.UNKNOWN}[data["healthy"]])


def _more(data: dict[str, Any], chosen: project.Stack, settings: Settings | None) -> None:
    """Add certificates, backups and remarks; a certificate that has ended makes the stack unhealthy."""
    from cloudctl.upkeep import any_ended, upkeep
    from cluster.remarks import remarks

    if settings is None:
        data |= {"certificates": [], "backup": None, "remarks": []}
        return
    found = upkeep(chosen, settings, ask=data["resources"] > 0 and not chosen.lab)
    data["certificates"], data["backup"] = found["certificates"], found["backup"]
    data["problems"] += found["problems"]
    if any_ended(found):
        data["healthy"] = False
    data["remarks"] = [{"message": each.message, "remedy": each.remedy} for each in remarks(settings)]


def _answers(
    chosen: project.Stack, settings: Settings | None, kubeconfig: Path, export: Mapping[str, Any]
) -> list[Check]:
    """Ask the services, once there is something of the stack to ask."""
    from cloudctl import engine
    from cloudctl.answers import Asker
    from cluster import state

    if settings is None or not state.resources(export):
        return []

    def passwords() -> Mapping[str, Any]:
        return engine.for_stack(project.root(), chosen.name, lab=chosen.lab).secrets(chosen.name, chosen.file)

    return Asker(settings, kubeconfig, passwords).checks(lab=chosen.lab)


def _show(data: dict[str, Any]) -> None:
    if not data["resources"]:
        console.say(
            f"stack {data['stack']} holds nothing yet; bring it up with: cloudctl start --stack {data['stack']}"
        )
    console.show_table(
        f"Phases of {data['stack']}",
        ["=task", "what", ">resources", "=state", "why"],
        [[row["task"], row["title"], row["resources"], row["state"], row["reason"] or " "] for row in data["phases"]],
        "none",
    )
    console.show_table(
        "Virtual machines",
        ["name", "host", "role", "=address", ">cores", ">memory", "=GPUs", "=state"],
        [
            [
                vm["name"],
                vm["host"],
                vm["role"],
                vm["address"],
                vm["cores"],
                _gb(vm),
                "\n".join(vm["gpus"]),
                vm["state"],
            ]
            for vm in data["vms"]
        ],
        "none",
    )
    console.show_table(
        "Kubernetes nodes",
        ["name", "role", "=address", "kubernetes", "=state"],
        [[node["name"], node["role"], node["address"], node["kubernetes"], node["state"]] for node in data["nodes"]],
        "none yet",
    )
    for reason in sorted({node["reason"] for node in data["nodes"]} - {""}):
        console.say(f"  unknown: {reason}")
    console.show_table(
        "Services",
        ["=name", "namespace", "kind", "version", "=task", "=state"],
        [
            [each["name"], each["namespace"], each["kind"], each["version"], each["task"], each["state"]]
            for each in data["services"]
        ],
        "none yet",
    )
    console.show_table(
        "Services answer",
        ["=name", "=state", ">latency", "why"],
        [
            [each["name"], each["state"], _milliseconds(each["latency_ms"]), each["reason"] or each["asked"]]
            for each in data["answers"]
        ],
        "nothing to ask yet",
    )
    _show_more(data)
    console.show_table(
        "Endpoints", ["name", "address"], [[each["name"], each["address"]] for each in data["endpoints"]], "none yet"
    )
    if silent := [each["name"] for each in data["answers"] if each["state"] == "not-asked"]:
        console.say(f"  could not find out how {', '.join(silent)} do")
    if data["endpoints"] and not data["healthy"]:
        console.say("  not everything is up, so some of these may not answer")
    for problem in data["problems"]:
        console.say(f"problem: {problem}")


def _show_more(data: dict[str, Any]) -> None:
    from cloudctl.views import certs

    if data["certificates"]:
        certs.show("Certificates", data["certificates"], "none yet")
    backup = data["backup"]
    if backup:
        state = "never made from here" if backup["last"] is None else f"last {backup['last']}"
        failed = ", and not all of it" if backup["ok"] is False else ""
        console.say(f"backups into {backup['place']}: {state}{failed}")
        if backup["late"]:
            console.say(f"  late: {', '.join(backup['late'])}; see: cloudctl backup list")
    for remark in data["remarks"]:
        console.say(f"remark: {remark['message']}")
        console.say(f"  {remark['remedy']}")


def _milliseconds(latency: float | None) -> str:
    return "" if latency is None else f"{latency:.0f} ms"


def _gb(vm: dict[str, Any]) -> str | None:
    from cluster.types import gb

    return gb(int(vm["memory_mib"])) if isinstance(vm["memory_mib"], int | float) else None
