"""CLOUD-0.2: what a VM needs before it exists: a lease on each of its GPUs, and its cloud-init disk."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_libvirt as libvirt
from pulumi_command import local

from cluster.identity import mac_address
from cluster.render import cloud_init
from cluster.settings.model import Machine, Settings
from components.base import TaskComponent, cloudctl
from components.foundation import Host


@dataclass(frozen=True)
class ProvisioningArgs:
    """The settings, the hosts by name, and who leases: ``cloud/<stack>``."""

    settings: Settings
    hosts: Mapping[str, Host]
    owner: str


class Provisioning(TaskComponent):
    """Leases and cloud-init disks of every VM. It waits for the pools, never for an image.

    A lease makes a second claim on a GPU fail here, before a VM is touched; its deletion gives the GPU back.
    """

    cloud_init: dict[str, pulumi.Output[str]]
    leases: dict[str, tuple[local.Command, ...]]
    macs: dict[str, str]

    def __init__(self, name: str, args: ProvisioningArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        machines = args.settings.machines
        props = {"owner": args.owner, "state": args.settings.state, "vms": [each.name for each in machines]}
        super().__init__("cloud:foundation:Provisioning", name, "CLOUD-0.2", props, opts)
        stack = pulumi.get_stack()
        self.macs = mac_addresses(stack, [machine.name for machine in machines])
        self.leases = {machine.name: self._leases(args, machine) for machine in machines}
        user_data = cloud_init.user_data(args.settings.access)
        self.cloud_init = {
            machine.name: self._cloud_init(
                args, machine, user_data, cloud_init.meta_data(stack, machine, args.settings.network)
            ).id
            for machine in machines
        }
        leases = [lease.stdout for each in self.leases.values() for lease in each]
        self.register_outputs({"cloudInit": self.cloud_init, "leases": leases})

    def _leases(self, args: ProvisioningArgs, machine: Machine) -> tuple[local.Command, ...]:
        host = args.settings.host_of(machine).name
        return tuple(
            local.Command(
                # Named by its card: were it named by its place in the list, a card that moves up in the list would be
                # given back after it was taken.
                f"{machine.name}-lease-{re.sub('[:.]', '-', gpu.address)}",
                create=_lease_line("lease", args, host, gpu.address, machine.name),
                delete=_lease_line("give-back", args, host, gpu.address, machine.name),
                # Another host or owner is another lease: without this the old one would never be given back.
                triggers=[host, gpu.address, args.owner, args.settings.state],
                opts=self.child(delete_before_replace=True),
            )
            for gpu in machine.gpus
        )

    def _cloud_init(
        self, args: ProvisioningArgs, machine: Machine, user_data: str, meta_data: str
    ) -> libvirt.CloudInitDisk:
        host = args.hosts[args.settings.host_of(machine).name]
        return libvirt.CloudInitDisk(
            f"{machine.name}-cloud-init",
            name=f"{machine.name}-cloud-init.iso",
            pool=host.pool_name,
            user_data=user_data,
            meta_data=meta_data,
            network_config=cloud_init.network_config(machine, args.settings.network, self.macs[machine.name]),
            # The same file name in the pool: the old disk has to go first.
            opts=self.child(pulumi.ResourceOptions(provider=host.provider), delete_before_replace=True),
        )


def mac_addresses(stack: str, names: list[str]) -> dict[str, str]:
    """Return a MAC address for each machine, the same in every run; two that fall together are told apart."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        seed = name
        while (mac := mac_address(stack, seed)) in taken:
            seed += "+"
        taken.add(mac)
        found[name] = mac
    return found


def _lease_line(word: str, args: ProvisioningArgs, host: str, gpu: str, vm: str) -> str:
    owner = ("--owner", args.owner, "--vm", vm)
    return cloudctl("gpus", word, "--state", args.settings.state, "--host", host, "--gpu", gpu, *owner)
