"""Stacks and live VMs for tests of what stands and of etcd's quorum."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster.host.model import HostFacts
from cluster.quorum import quorum
from cluster.render.domain_xml import Definition
from cluster.settings.model import Settings
from cluster.standing import Standing
from cluster.types import format_mib
from cluster.vm import planned_vms
from tests.components.samples import facts, raw, settings

NOW = {"base": "a" * 12, "gpu-worker": "b" * 12}
EARLIER = "0" * 12


def stack(folder: Path, planes: int = 3, **changes: Mapping[str, Any]) -> Settings:
    """Return the sample with some control planes and a worker; ``changes`` by machine, names with underscores."""
    sections = raw()
    first, worker = sections["machines"][0], sections["machines"][1]
    machines = [
        *({**first, "name": f"control-{n}", "address": f"192.168.200.{10 + n}"} for n in range(1, planes + 1)),
        worker,
    ]
    for machine in machines:
        machine.update(changes.get(machine["name"].replace("-", "_"), {}))
    sections["machines"] = machines
    sections["state"] = str(folder / "state.json")
    sections["network"] = {"api_address": "192.168.200.9"}
    return settings(sections)


def planned(plan: Settings, digests: Mapping[str, str] = NOW) -> dict[str, Definition]:
    return planned_vms(plan, "prod", {host.name: facts(host.name) for host in plan.hosts}, digests)


def live(plan: Settings, digests: Mapping[str, str] = NOW, **changes: Mapping[str, Any] | None) -> dict[str, HostFacts]:
    """Return facts of hosts on which a stack's VMs run as planned; ``changes`` by name, None: the VM is not there."""
    domains = []
    for machine in plan.machines:
        vm = planned(plan, digests)[machine.name]
        change = changes.get(machine.name.replace("-", "_"), {})
        if change is None:
            continue
        made = {
            "name": machine.name,
            "owner": "cloud/prod",
            "state": "running",
            "cores": machine.cores,
            "memory": format_mib(int(machine.memory)),
            "role": machine.role,
            "image": vm.image,
            "shape": vm.shape,
            **change,
        }
        domains.append((plan.host_of(machine).name, made))
    found = {}
    for host in plan.hosts:
        mine = [made for name, made in domains if name == host.name]
        raw_facts = facts(host.name).model_dump(mode="json", exclude_defaults=True)
        found[host.name] = HostFacts.model_validate({**raw_facts, "domains": mine})
    return found


def judged(plan: Settings, seen: Mapping[str, HostFacts], digests: Mapping[str, str] = NOW) -> list[str]:
    """Return what the quorum's guard says of a plan."""
    return [str(each) for each in quorum(plan, planned(plan, digests), Standing.of(plan, "prod", seen))]
