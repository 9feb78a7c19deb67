"""Machines: names, addresses, hosts, and how many control planes."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.problems import Problem
from cluster.settings.checks.network import outside
from cluster.settings.checks.repeats import repeats
from cluster.settings.draft import Draft
from cluster.settings.words import REQUIRED

_HIGHLY_AVAILABLE = 3


def check(draft: Draft) -> Iterator[Problem]:
    """Yield the problems of machines with each other, the network and the hosts."""
    names = [(f"{machine.path}.name", machine.value.name) for machine in draft.machines.having("name")]
    yield from repeats(names, "name", "give each machine its own name")
    yield from _addresses(draft)
    yield from _hosts(draft)
    yield from _control_planes(draft)
    yield from _expendable(draft)


def _addresses(draft: Draft) -> Iterator[Problem]:
    placed = [(f"{machine.path}.address", machine.value.address) for machine in draft.machines.having("address")]
    yield from repeats(
        [(path, str(address)) for path, address in placed], "address", "give each machine its own address"
    )
    network = draft.network
    if network is None:
        return
    taken = {
        network.value.gateway if network.has("gateway") else None: "network.gateway",
        network.value.api_address if network.has("api_address") else None: "network.api_address",
    }
    for path, address in placed:
        if network.has("cidr") and (problem := outside(path, address, network.value.cidr)):
            yield problem
        elif address in taken:
            yield Problem(path, str(address), f"is {taken[address]}", "give the machine an address of its own")


def _hosts(draft: Draft) -> Iterator[Problem]:
    if not draft.hosts.complete("name"):
        return
    names = [host.value.name for host in draft.hosts]
    known = ", ".join(dict.fromkeys(names))
    for machine in draft.machines.having("host"):
        path, host = f"{machine.path}.host", machine.value.host
        if host is None and len(names) > 1:
            yield Problem(path, None, f"is missing, and there are {len(names)} hosts", f"write one of {known}")
        elif host is not None and host not in names:
            yield Problem(path, host, "is not the name of a host", f"write one of {known}, or add the host under hosts")


def _control_planes(draft: Draft) -> Iterator[Problem]:
    if not draft.makes_machines():
        yield from _nobody_joins(draft)
        return
    if draft.machines.whole and not draft.machines.items:
        yield Problem("machines", None, *REQUIRED["Settings", "machines"])
        return
    if not draft.machines.complete("role"):
        return
    count = sum(machine.value.role == "control-plane" for machine in draft.machines)
    if count == 0:
        remedy = "give one machine role: control-plane, or three to outlive the loss of one"
        yield Problem("machines", None, "hold no control plane", remedy)
    elif count % 2 == 0:
        reason = f"hold {count} control planes, an even number: etcd loses its majority as early as with {count - 1}"
        yield Problem("machines", None, reason, f"use {count - 1} or {count + 1} machines of role control-plane")
    network = draft.network
    if count >= _HIGHLY_AVAILABLE and network and network.has("api_address") and network.value.api_address is None:
        reason = f"is missing, and there are {count} control planes: clients need one address that moves between them"
        yield Problem("network.api_address", None, reason, "write a free address of network.cidr")


def _nobody_joins(draft: Draft) -> Iterator[Problem]:
    if draft.machines.items:
        count = len(draft.machines.items)
        vms = "a VM is planned" if count == 1 else f"{count} VMs are planned"
        reason = (
            f"are not empty, and kubernetes.provisioner is existing: {vms}, and nobody would join them to that cluster"
        )
        remedy = (
            "write machines: [], or let this program install Kubernetes, for example kubernetes.provisioner: kubespray"
        )
        yield Problem("machines", None, reason, remedy)


def _expendable(draft: Draft) -> Iterator[Problem]:
    """A name that no machine has may be that of a control plane which is to go."""
    section = draft.kubernetes
    if section is None or not section.has("expendable"):
        return
    roles = {machine.value.name: machine.value.role for machine in draft.machines.having("name", "role")}
    for index, name in enumerate(section.value.expendable):
        if roles.get(name, "control-plane") not in ("control-plane", "gpu-worker"):
            reason = f"is the name of a {roles[name]}, not of a control plane or a GPU worker"
            yield Problem(f"kubernetes.expendable[{index}]", name, reason, "take it out: only those are held back")
