"""How a stack is, as data: phases, machines, nodes, services, endpoints; from its state, settings and host facts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from cluster import phases, state
from cluster.health.model import Check
from cluster.host.model import HostFacts
from cluster.planned import left_out
from cluster.settings.model import Machine, Settings

RELEASE = "kubernetes:helm.sh/v3:Release"
SERVICES = {
    RELEASE: "Helm",
    "kubernetes:postgresql.cnpg.io/v1:Cluster": "PostgreSQL",
    "kubernetes:serving.kserve.io/v1beta1:InferenceService": "model",
}
_SECRET = "4dabf18193072939515e22adb298388d"  # noqa: S105 - the engine's mark of a special value, not a secret
_ADDRESS = re.compile(r"^[a-z][a-z0-9+.-]*://|^[a-z0-9.-]+:\d{2,5}$")

Hosts = Mapping[str, HostFacts | str]
"""Host name -> its facts, or why they could not be had."""
Nodes = Mapping[str, str] | str
"""Node name -> ``ready`` or ``not-ready``, or why nobody was asked."""


def report(
    stack: str,
    export: Mapping[str, Any],
    settings: Settings | None,
    hosts: Hosts,
    nodes: Nodes,
    answers: Sequence[Check] = (),
) -> dict[str, Any]:
    """Return everything ``cloudctl status`` shows; ``healthy`` is false as soon as one part is not as planned.

    It is None where all that could be asked is as planned, and a service could not be asked. A VM of unknown state is
    not held against the stack.
    """
    tasks = task_rows(export, settings)
    vms = vm_rows(export, settings, hosts, f"cloud/{stack}")
    node_list = node_rows(vms, settings, nodes)
    problems = [
        f"{state.type_of(urn)} {state.name_of(urn)}: {operation} was cut off; run pulumi refresh, then pulumi up"
        for urn, operation in state.pending_operations(export)
    ]
    problems += [f"host {name}: {why}" for name, why in hosts.items() if isinstance(why, str)]
    bad = (
        any(row["state"] not in ("done", "skipped") for row in tasks)
        or any(row["state"] not in ("running", "unknown") for row in vms)
        or any(row["state"] == "not-ready" for row in node_list)
        or any(check.state in ("down", "degraded") for check in answers)
    )
    unknown = any(check.state == "not-asked" for check in answers)
    return {
        "stack": stack,
        "healthy": False if bad else None if unknown else True,
        "resources": len(state.resources(export)),
        "phases": tasks,
        "vms": vms,
        "nodes": node_list,
        "services": service_rows(export),
        "answers": [check.row() for check in answers],
        "endpoints": endpoints(export),
        "problems": problems,
    }


def task_rows(export: Mapping[str, Any], settings: Settings | None) -> list[dict[str, Any]]:
    """Return a row per task: how many resources it has and whether it is done.

    done: its components have told their outputs, which they do when all of their parts are there; partial: some part is
    missing or said that it did not come up; pending-operation: an update was cut off inside it; skipped: this stack
    does not have it; missing: nothing of it is there yet. A component alone, without any part, is nothing.
    """
    tasks = state.tasks_of(export)
    owned: dict[str, list[state.Resource]] = {task: [] for task in phases.TASKS}
    for item in state.resources(export):
        if (owner := tasks.get(str(item["urn"]))) in owned:
            owned[str(owner)].append(item)
    opened = {tasks.get(urn) for urn, _ in state.pending_operations(export)}
    skipped = left_out(settings) if settings else {}
    rows = []
    for task in phases.TASKS.values():
        found, reason = _state_of(owned[task.id], task.id in opened, skipped.get(task.id))
        rows.append(
            {
                "task": task.id,
                "phase": task.phase,
                "title": task.title,
                "resources": sum(1 for item in owned[task.id] if item.get("custom")),
                "state": found,
                "reason": reason,
            }
        )
    return rows


def vm_rows(export: Mapping[str, Any], settings: Settings | None, hosts: Hosts, owner: str) -> list[dict[str, Any]]:
    """Return a row per VM of the settings and the state; ``state`` is what libvirt says, or missing if never made."""
    planned = {machine.name: machine for machine in settings.machines} if settings else {}
    made = {
        str(props.get("name")): props for props in map(state.props, state.of_type(export, "cloud:kubernetes:Machine"))
    }
    rows = []
    for name in [*planned, *(name for name in made if name not in planned)]:
        machine, props = planned.get(name), made.get(name, {})
        host = str(props.get("host") or (settings.host_of(machine).name if settings and machine else ""))
        rows.append(
            {
                "name": name,
                "host": host,
                "role": machine.role if machine else props.get("role"),
                "address": str(machine.address) if machine else props.get("address"),
                "cores": props.get("cores") or (machine.cores if machine else None),
                "memory_mib": props.get("memory_mib") or (machine.memory if machine else None),
                "gpus": [gpu["address"] for gpu in props.get("gpus") or []] or _addresses(machine),
                "state": _domain_state(hosts.get(host), name, owner) if name in made else "missing",
            }
        )
    return rows


def node_rows(vms: list[dict[str, Any]], settings: Settings | None, nodes: Nodes) -> list[dict[str, Any]]:
    """Return a row per Kubernetes node: the VMs that are there, with what the API server says of them."""
    version = settings.kubernetes.version if settings else None
    return [
        {
            "name": vm["name"],
            "role": vm["role"],
            "address": vm["address"],
            "kubernetes": version,
            "state": "unknown" if isinstance(nodes, str) else nodes.get(vm["name"], "not-ready"),
            "reason": nodes if isinstance(nodes, str) else "",
        }
        for vm in vms
        if vm["state"] != "missing"
    ]


def service_rows(export: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row per Helm release, database cluster and served model, with its task."""
    tasks = state.tasks_of(export)
    rows = []
    for item in state.resources(export):
        if item.get("type") not in SERVICES:
            continue
        props = state.props(item)
        metadata = props.get("metadata") or {}
        status = props.get("status")
        rows.append(
            {
                "name": props.get("name") or metadata.get("name") or state.name_of(str(item["urn"])),
                "namespace": props.get("namespace") or metadata.get("namespace"),
                "kind": SERVICES[str(item["type"])],
                "version": props.get("version"),
                "task": tasks.get(str(item["urn"])),
                "state": "not-ready" if item.get("initErrors") else _status_word(status),
            }
        )
    return sorted(rows, key=lambda row: (row["task"] or "", row["name"]))


def endpoints(export: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return what the stack's outputs name as addresses: every URL and host:port in them; secrets are left out."""
    stack = next(iter(state.of_type(export, "pulumi:pulumi:Stack")), {})
    return [{"name": name, "address": address} for name, address in _addresses_in(stack.get("outputs") or {})]


def _addresses_in(value: object, path: str = "") -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        if _SECRET in value:
            return []
        found = [_addresses_in(inner, f"{path}.{key}" if path else str(key)) for key, inner in value.items()]
        return [pair for pairs in found for pair in pairs]
    if isinstance(value, list):
        return [pair for index, inner in enumerate(value) for pair in _addresses_in(inner, f"{path}[{index}]")]
    if isinstance(value, str) and _ADDRESS.search(value) and not value.startswith(("qemu", "file")):
        return [(path.removeprefix("endpoints."), value)]
    return []


def _state_of(owned: list[state.Resource], opened: bool, skipped: str | None) -> tuple[str, str]:
    if opened:
        return "pending-operation", "an update was cut off here"
    components = [item for item in owned if not item.get("custom") and (item.get("inputs") or {}).get("task")]
    if not components:
        return ("skipped", skipped) if skipped else ("missing", "")
    silent = [state.name_of(str(item["urn"])) for item in components if not item.get("outputs")]
    failed = [state.name_of(str(item["urn"])) for item in owned if item.get("initErrors")]
    if silent and not any(item.get("custom") for item in owned):
        return "missing", "not begun"
    if silent or failed:
        return "partial", f"not finished: {', '.join([*silent, *failed])}"
    return "done", ""


def _domain_state(facts: HostFacts | str | None, name: str, owner: str) -> str:
    if not isinstance(facts, HostFacts):
        return "unknown"
    domain = next((each for each in facts.domains if each.name == name), None)
    if domain is None:
        return "gone"
    return domain.state if domain.owner in (owner, None) else "foreign"


def _addresses(machine: Machine | None) -> list[str]:
    return [gpu.address for gpu in machine.gpus] if machine else []


def _status_word(status: object) -> str:
    word = status.get("status") if isinstance(status, Mapping) else None
    return word if isinstance(word, str) else "made"
