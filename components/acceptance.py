"""CLOUD-7.1: once the foundation stands, a check that it is what was asked for. It needs no cluster."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_command import local

from cluster.settings.model import Settings
from components.base import TaskComponent, file

CHECK = file("components/scripts/check_foundation.py")


@dataclass(frozen=True)
class AcceptanceArgs:
    """The settings, the owner, and what CLOUD-0.2 made: cloud-init disks by VM, leases (their outputs)."""

    settings: Settings
    owner: str
    cloud_init: Mapping[str, pulumi.Input[str]]
    leases: Sequence[pulumi.Input[str]]


class Acceptance(TaskComponent):
    """Networks and pools active, cloud-init disks in the pools, leases on record."""

    report: pulumi.Output[str]

    def __init__(self, name: str, args: AcceptanceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("cloud:testing:Acceptance", name, "CLOUD-7.1", {"owner": args.owner}, opts)
        expected = foundation_expected(args.settings, args.owner)
        made = pulumi.Output.all(*args.cloud_init.values(), *args.leases)
        check = local.Command(
            "acceptance-foundation",
            create=CHECK,
            stdin=json.dumps(expected),
            # Looked at again whenever a disk or a lease is made anew.
            triggers=[json.dumps(expected), made],
            opts=self.child(),
        )
        self.report = check.stdout
        self.register_outputs({"report": self.report})


def foundation_expected(settings: Settings, owner: str) -> dict[str, Any]:
    """Return what must be there, as ``components/scripts/check_foundation.py`` reads it."""
    on_host: dict[str, list[str]] = {host.name: [] for host in settings.hosts}
    leases = []
    for machine in settings.machines:
        host = settings.host_of(machine).name
        on_host[host].append(f"{machine.name}-cloud-init.iso")
        leases += [{"host": host, "gpu": gpu.address, "owner": owner, "vm": machine.name} for gpu in machine.gpus]
    return {
        "hosts": [
            {
                "name": host.name,
                "uri": host.uri,
                "network": settings.network.name,
                "pool": host.pool.name,
                "volumes": on_host[host.name],
            }
            for host in settings.hosts
        ],
        "state": settings.state,
        "leases": leases,
    }
