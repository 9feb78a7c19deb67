"""CLOUD-2.1, first half: the virtual machines, each with its disk, its GPUs and a check that it can be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_libvirt as libvirt
from pulumi_command import local

from cluster.budget import GpuDemand, functions_of
from cluster.host.model import HostFacts
from cluster.identity import libvirt_uuid
from cluster.render.domain_xml import domain_xslt, owner_metadata
from cluster.render.inventory import ssh_jump
from cluster.settings import model
from cluster.types import BYTES_PER_MIB
from components.base import TaskComponent, run_dir
from components.foundation import Host

READY = "components/scripts/wait-ready.sh"


@dataclass(frozen=True)
class MachineArgs:
    """One VM: what it is, where it goes, and what other tasks made for it.

    ``functions`` holds for each GPU all PCI functions that move with it. ``leases`` are waited for and carry no value.
    """

    machine: model.Machine
    host: model.Host
    place: Host
    owner: str
    mac: str
    functions: Mapping[str, tuple[str, ...]]
    image: pulumi.Input[str]
    cloud_init: pulumi.Input[str]
    leases: tuple[pulumi.Resource, ...]
    login: Mapping[str, str]


class Machine(TaskComponent):
    """A VM: copy-on-write disk, domain, and a check that SSH answers and cloud-init is through."""

    domain_id: pulumi.Output[str]
    ready: pulumi.Output[str]

    def __init__(self, name: str, args: MachineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        machine = args.machine
        props = {
            "name": machine.name,
            "role": machine.role,
            "host": args.host.name,
            "uri": args.host.uri,
            "pool": args.host.pool.name,
            "owner": args.owner,
            "address": str(machine.address),
            "cores": int(machine.cores),
            "memory_mib": int(machine.memory),
            "disk_mib": int(machine.disk),
            "gpus": [{"address": gpu, "functions": list(every)} for gpu, every in args.functions.items()],
        }
        mine = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(providers=[args.place.provider]))
        super().__init__("cloud:kubernetes:Machine", name, "CLOUD-2.1", props, mine)
        root = self._root(args)
        domain = self._domain(args, root.id)
        self.domain_id = domain.id
        self.ready = self._ready(args, domain.id).stdout
        self.register_outputs({"domainId": self.domain_id, "ready": self.ready})

    def _root(self, args: MachineArgs) -> libvirt.Volume:
        return libvirt.Volume(
            f"{args.machine.name}-root",
            name=f"{args.machine.name}-root.qcow2",
            pool=args.place.pool_name,
            base_volume_id=args.image,
            format="qcow2",
            size=int(args.machine.disk) * BYTES_PER_MIB,
            opts=self.child(delete_before_replace=True),
        )

    def _domain(self, args: MachineArgs, root: pulumi.Input[str]) -> libvirt.Domain:
        machine = args.machine
        uuid = libvirt_uuid(pulumi.get_stack(), args.host.name, "domain", machine.name)
        functions = [function for every in args.functions.values() for function in every]
        return libvirt.Domain(
            machine.name,
            name=machine.name,
            vcpu=int(machine.cores),
            memory=int(machine.memory),
            machine="q35",
            cpu={"mode": "host-passthrough"},
            disks=[{"volume_id": root}],
            cloudinit=args.cloud_init,
            network_interfaces=[{"network_id": args.place.network_id, "mac": args.mac, "wait_for_lease": False}],
            consoles=[{"type": "pty", "target_type": "serial", "target_port": "0"}],
            qemu_agent=True,
            autostart=machine.autostart,
            running=True,
            metadata=owner_metadata(args.owner),
            xml={"xslt": domain_xslt(uuid, args.owner, functions)},
            # A lease has no value to use, yet only its holder may attach the GPU; it is given back once the VM is gone.
            opts=self.child(depends_on=args.leases, delete_before_replace=True),
        )

    def _ready(self, args: MachineArgs, domain_id: pulumi.Input[str]) -> local.Command:
        return local.Command(
            f"{args.machine.name}-ready",
            create=READY,
            environment={"VM": args.machine.name, "ADDRESS": str(args.machine.address), **args.login},
            triggers=[domain_id],
            opts=self.child(),
        )


@dataclass(frozen=True)
class MachinePoolArgs:
    """All VMs of a stack, with what CLOUD-0.1, 0.2 and 1.x made, by host or by VM name.

    ``gpu_images`` is empty unless GPU workers boot from their own image.
    """

    settings: model.Settings
    owner: str
    facts: Mapping[str, HostFacts]
    hosts: Mapping[str, Host]
    macs: Mapping[str, str]
    cloud_init: Mapping[str, pulumi.Input[str]]
    leases: Mapping[str, tuple[pulumi.Resource, ...]]
    images: Mapping[str, pulumi.Input[str]]
    gpu_images: Mapping[str, pulumi.Input[str]]


class MachinePool(TaskComponent):
    """Every VM of the stack. They come up side by side; ``ready`` is a value that changes when one is made anew."""

    machines: dict[str, Machine]
    nodes: dict[str, dict[str, Any]]
    ready: pulumi.Output[str]

    def __init__(self, name: str, args: MachinePoolArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        props = {"vms": [machine.name for machine in args.settings.machines]}
        super().__init__("cloud:kubernetes:MachinePool", name, "CLOUD-2.1", props, opts)
        self.machines, self.nodes = {}, {}
        for machine in args.settings.machines:
            self._add(args, machine)
        every = [value for each in self.machines.values() for value in (each.domain_id, each.ready)]
        self.ready = pulumi.Output.all(*every).apply(lambda values: ",".join(values[::2]))
        self.register_outputs({"ready": self.ready})

    def _add(self, args: MachinePoolArgs, machine: model.Machine) -> None:
        host = args.settings.host_of(machine)
        facts = args.facts[host.name]
        functions = {gpu.address: functions_of(facts, GpuDemand(gpu.address, gpu.siblings)) for gpu in machine.gpus}
        images = args.gpu_images if machine.role == "gpu-worker" and args.gpu_images else args.images
        self.machines[machine.name] = Machine(
            machine.name,
            MachineArgs(
                machine=machine,
                host=host,
                place=args.hosts[host.name],
                owner=args.owner,
                mac=args.macs[machine.name],
                functions=functions,
                image=images[host.name],
                cloud_init=args.cloud_init[machine.name],
                leases=args.leases[machine.name],
                login=_login(args.settings, machine),
            ),
            self.child(),
        )
        self.nodes[machine.name] = {
            "role": machine.role,
            "host": host.name,
            "address": str(machine.address),
            "gpus": [gpu.address for gpu in machine.gpus],
        }


def _login(settings: model.Settings, machine: model.Machine) -> dict[str, str]:
    """Return how to reach a VM by SSH, as the environment of ``wait-ready.sh``."""
    login = {
        "SSH_USER": settings.access.user,
        "SSH_KEY": settings.access.ssh_private_key_file,
        "KNOWN_HOSTS": f"{run_dir(pulumi.get_stack())}/known_hosts",
    }
    jump = ssh_jump(settings, machine)
    return {**login, "SSH_JUMP": jump} if jump else login
