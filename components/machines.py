"""CLOUD-2.1, first half: the virtual machines: disk, GPUs, size, and a check that each can be used."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_libvirt as libvirt
from pulumi_command import local

from cluster.leaving import Member, dump_members, leaving_folder
from cluster.render.domain_xml import Definition, domain_xslt
from cluster.render.inventory import ssh_jump
from cluster.settings import model
from cluster.standing import Standing, ready_mark
from cluster.types import BYTES_PER_MIB, host_cpus
from cluster.upgrades import NOTE
from cluster.vm import image_kind
from components.base import TaskComponent, run_dir, script
from components.foundation import Host
from components.images import Image

UNTOUCHED = ("vcpu", "memory", "type", "machine", "cpu", "cloudinit", "xml")
"""Inputs of a VM that stands as planned and stays. The provider would make it anew for a difference in most of these,
for vCPUs and memory too, which the size command changes; what else differs waits until it is made anew."""

ALWAYS_UNTOUCHED = ("firmware",)
"""The provider reads back the file that libvirt has chosen for the firmware, and takes it for a difference."""

EMULATION = 4
"""How much longer everything may take without KVM."""


@dataclass(frozen=True)
class MachineArgs:
    """One VM: what it is (``vm``), where it goes, and what other tasks made for it.

    ``stays``: a VM stands that is as planned but for its size. ``stays_on_disk``: its disk is from the image planned.
    ``made`` says which making of the VM, and so of its disk, this is. ``leases`` are waited for and carry no value.
    ``after`` is the control plane before this one, or the worker that restarts before this one does: sizes are changed
    one after the other. ``members`` are all control planes.
    """

    settings: model.Settings
    machine: model.Machine
    vm: Definition
    host: model.Host
    place: Host
    mac: str
    image: pulumi.Input[str]
    cloud_init: pulumi.Input[str]
    leases: tuple[pulumi.Resource, ...]
    made: str
    stays: bool = False
    stays_on_disk: bool = True
    after: Sequence[pulumi.Resource] = ()
    members: Sequence[Member] = ()


class Machine(TaskComponent):
    """A VM: copy-on-write disk, domain, size, and a check that SSH answers and cloud-init is through.

    ``domain_id`` is foretold, and the same for every making of the VM; ``ready`` is the check.
    """

    domain_id: pulumi.Output[str]
    ready: local.Command

    def __init__(self, name: str, args: MachineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        machine = args.machine
        props = {
            "name": machine.name,
            "role": machine.role,
            "host": args.host.name,
            "uri": args.host.uri,
            "pool": args.host.pool.name,
            "owner": args.vm.owner,
            "address": str(machine.address),
            "cores": int(machine.cores),
            "memory_mib": int(machine.memory),
            "disk_mib": int(machine.disk),
            "gpus": [{"address": every[0], "functions": list(every)} for every in args.vm.functions],
        }
        mine = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(providers=[args.place.provider]))
        super().__init__("cloud:kubernetes:Machine", name, "CLOUD-2.1", props, mine)
        console = self._console(args)
        domain = self._domain(args, self._root(args).id, console)
        self.domain_id = domain.id
        self.ready = self._ready(args, domain.id, self._size(args, domain.id).stdout)
        if _is_plane(machine):
            self._quorum(args, domain.id)
        else:
            self._leave(args, domain.id)
        self.register_outputs({"domainId": self.domain_id, "ready": self.ready.stdout})

    def _root(self, args: MachineArgs) -> libvirt.Volume:
        # Its size is the size command's: for the provider another size is another, empty disk.
        kept = pulumi.ResourceOptions(ignore_changes=["size"] if args.stays_on_disk else None)
        return libvirt.Volume(
            f"{args.machine.name}-root",
            name=_disk(args.machine),
            pool=args.place.pool_name,
            base_volume_id=args.image,
            format="qcow2",
            size=int(args.machine.disk) * BYTES_PER_MIB,
            opts=self.child(kept, delete_before_replace=True),
        )

    def _domain(self, args: MachineArgs, root: pulumi.Input[str], console: pulumi.Resource) -> libvirt.Domain:
        machine, vm = args.machine, args.vm
        untouched = [*ALWAYS_UNTOUCHED, *(UNTOUCHED if args.stays else ())]
        return libvirt.Domain(
            machine.name,
            name=machine.name,
            vcpu=int(machine.cores),
            memory=int(machine.memory),
            type="qemu" if vm.emulated else "kvm",
            machine=vm.machine_type,
            cpu={"mode": vm.cpu_mode},
            disks=[{"volume_id": root}],
            cloudinit=args.cloud_init,
            network_interfaces=[{"network_id": args.place.network_id, "mac": args.mac, "wait_for_lease": False}],
            autostart=machine.autostart,
            running=True,
            xml={"xslt": domain_xslt(vm)},
            # A lease has no value to use, yet only its holder may attach the GPU; it is given back once the VM is gone.
            # The console's log can only be deleted once nobody writes it any more.
            opts=self.child(
                pulumi.ResourceOptions(ignore_changes=untouched),
                depends_on=[*args.leases, console],
                delete_before_replace=True,
            ),
        )

    def _console(self, args: MachineArgs) -> local.Command:
        mark = str(ready_mark(args.settings, pulumi.get_stack(), args.machine.name))
        return local.Command(
            f"{args.machine.name}-console",
            create=script("console"),
            delete=script("console", "gone"),
            environment={**_who(args), "READY_MARK": mark},
            # Before its pool goes, the log has to be gone: a pool's folder must be empty. On a host that the VM leaves
            # it goes last of all.
            triggers=[args.place.pool_name, args.host.uri],
            opts=self.child(),
        )

    def _size(self, args: MachineArgs, domain_id: pulumi.Input[str]) -> local.Command:
        machine = args.machine
        pins = " ".join(str(cpu) for cpu in host_cpus(machine.cpu_pinning)) if machine.cpu_pinning else ""
        return local.Command(
            f"{machine.name}-size",
            create=script("resize"),
            environment={
                **_who(args),
                "VOLUME": _disk(machine),
                "CORES": str(int(machine.cores)),
                "MEMORY_MIB": str(int(machine.memory)),
                "DISK_MIB": str(int(machine.disk)),
                "CPU_PINNING": pins,
                "SHUTDOWN_TIMEOUT": str(300 * _slowness(args)),
                **_cluster(args),
            },
            triggers=[domain_id, args.made],
            opts=self.child(depends_on=args.after),
        )

    def _ready(self, args: MachineArgs, domain_id: pulumi.Input[str], size: pulumi.Input[str]) -> local.Command:
        return local.Command(
            f"{args.machine.name}-ready",
            create=script("wait_ready"),
            environment={
                **_who(args),
                **_login(args.settings, args.machine),
                "ADDRESS": str(args.machine.address),
                "MADE": args.made,
                "READY_MARK": str(ready_mark(args.settings, pulumi.get_stack(), args.machine.name)),
                "READY_TIMEOUT": str(600 * _slowness(args)),
                "HARMLESS": json.dumps(list(args.settings.images.harmless_complaints)),
                # Another size is a restart, or a larger disk: wait again.
                "SIZE": size,
                **_cluster(args),
                **({"KUBERNETES": f"{run_dir(pulumi.get_stack())}/{NOTE}"} if _is_plane(args.machine) else {}),
            },
            triggers=[domain_id, args.made],
            opts=self.child(),
        )

    def _quorum(self, args: MachineArgs, domain_id: pulumi.Input[str]) -> local.Command:
        folder = leaving_folder(args.settings, pulumi.get_stack())
        return local.Command(
            f"{args.machine.name}-quorum",
            create=script("quorum", "stays"),
            delete=script("quorum", "goes"),
            environment={**_who(args), "MEMBERS": dump_members(args.members), "LEAVING": str(folder)},
            # By nothing but the VM, whose id every making has: it may only be deleted where the VM is about to be.
            triggers=[domain_id],
            # The note that the VM goes is taken back once the VM can be used; and it is deleted before anything else.
            opts=self.child(depends_on=[self.ready], delete_before_replace=True),
        )

    def _leave(self, args: MachineArgs, domain_id: pulumi.Input[str]) -> local.Command:
        return local.Command(
            f"{args.machine.name}-leave",
            create=script("leave", "stays"),
            delete=script("leave", "goes"),
            environment={**_who(args), **_cluster(args)},
            # As the quorum's: its pods may only be sent away where the VM is about to be deleted.
            triggers=[domain_id],
            opts=self.child(depends_on=[self.ready], delete_before_replace=True),
        )


@dataclass(frozen=True)
class MachinePoolArgs:
    """All VMs of a stack as planned (``vms``) and as they stand, with what CLOUD-0.1, 0.2 and 1.x made.

    By host or by VM name; images by kind (``base``, ``gpu-worker``).
    """

    settings: model.Settings
    vms: Mapping[str, Definition]
    standing: Standing
    hosts: Mapping[str, Host]
    macs: Mapping[str, str]
    cloud_init: Mapping[str, pulumi.Input[str]]
    leases: Mapping[str, tuple[pulumi.Resource, ...]]
    images: Mapping[str, Image]


class MachinePool(TaskComponent):
    """Every VM of the stack. They come up side by side.

    ``made`` has for each a value that changes when it is made anew, and that is there once the VM is ready.
    """

    machines: dict[str, Machine]
    nodes: dict[str, dict[str, Any]]
    made: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: MachinePoolArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        props = {"vms": [machine.name for machine in args.settings.machines]}
        super().__init__("cloud:kubernetes:MachinePool", name, "CLOUD-2.1", props, opts)
        self.machines, self.nodes, self.made = {}, {}, {}
        planes = args.settings.by_role("control-plane")
        self._members = [
            Member(each.name, args.vms[each.name].uuid, args.settings.host_of(each).uri) for each in planes
        ]
        after: dict[str, list[pulumi.Resource]] = {}
        for machine in args.settings.machines:
            # Of the workers those that restart; new ones need not wait for each other.
            turn = "control-plane" if _is_plane(machine) else "worker" if _restarts(args, machine) else machine.name
            made = self._add(args, machine, after.get(turn, []))
            after[turn] = [made.ready]
        marks = [_made(args, machine) for machine in args.settings.machines]
        for (vm, made), mark in zip(self.machines.items(), marks, strict=True):
            self.made[vm] = _once_ready(made, mark)
        self.register_outputs({"ready": pulumi.Output.all(*self.made.values()).apply(",".join)})

    def _add(self, args: MachinePoolArgs, machine: model.Machine, after: Sequence[pulumi.Resource]) -> Machine:
        host, vm = args.settings.host_of(machine), args.vms[machine.name]
        there = args.standing.vm(host.name, machine.name)
        # One that does not say its image may have the same: better a disk of the old size than an empty one.
        other_disk = there is not None and there.image not in (None, vm.image)
        made = Machine(
            machine.name,
            MachineArgs(
                settings=args.settings,
                machine=machine,
                vm=vm,
                host=host,
                place=args.hosts[host.name],
                mac=args.macs[machine.name],
                image=args.images[image_kind(args.settings, machine)].volumes[host.name, vm.image],
                cloud_init=args.cloud_init[machine.name],
                leases=args.leases[machine.name],
                made=_made(args, machine),
                stays=there is not None and (there.image, there.shape) == (vm.image, vm.shape),
                stays_on_disk=not other_disk,
                after=after,
                members=self._members,
            ),
            self.child(),
        )
        self.machines[machine.name] = made
        self.nodes[machine.name] = {
            "role": machine.role,
            "host": host.name,
            "address": str(machine.address),
            "gpus": [gpu.address for gpu in machine.gpus],
        }
        return made


def _is_plane(machine: model.Machine) -> bool:
    return machine.role == "control-plane"


def _restarts(args: MachinePoolArgs, machine: model.Machine) -> bool:
    """Whether a VM stands and, as far as anyone can tell, will be restarted for another size."""
    vm = args.standing.vm(args.settings.host_of(machine).name, machine.name)
    return vm is not None and (vm.cores, vm.memory_mib) != (int(machine.cores), int(machine.memory))


def _cluster(args: MachineArgs) -> dict[str, pulumi.Input[str]]:
    """Return where the cluster can be asked about a worker, once there is one."""
    return {} if _is_plane(args.machine) else {"KUBECONFIG_FILE": f"{run_dir(pulumi.get_stack())}/kubeconfig"}


def _once_ready(machine: Machine, mark: str) -> pulumi.Output[str]:
    """Return which VM this is, once it can be used."""
    both = pulumi.Output.all(machine.domain_id, machine.ready.stdout)
    return both.apply(lambda values: f"{values[0]} {mark}")


def _made(args: MachinePoolArgs, machine: model.Machine) -> str:
    """Return what names a making of a VM's disk: its number, its image, its pool."""
    vm = args.vms[machine.name]
    return f"{args.standing.number(args.settings.host_of(machine).name, machine.name)} {vm.image} {vm.pool}"


def _who(args: MachineArgs) -> dict[str, pulumi.Input[str]]:
    """Return the environment by which every script knows its VM."""
    return {
        "VM": args.machine.name,
        "UUID": args.vm.uuid,
        "URI": args.host.uri,
        "POOL": args.host.pool.name,
    }


def _disk(machine: model.Machine) -> str:
    return f"{machine.name}-root.qcow2"


def _slowness(args: MachineArgs) -> int:
    return EMULATION if args.vm.emulated else 1


def _login(settings: model.Settings, machine: model.Machine) -> dict[str, str]:
    """Return how to reach a VM by SSH, as the environment of ``wait_ready``."""
    login = {
        "SSH_USER": settings.access.user,
        "SSH_KEY": settings.access.ssh_private_key_file,
        "KNOWN_HOSTS": f"{run_dir(pulumi.get_stack())}/known_hosts",
    }
    jump = ssh_jump(settings, machine)
    return {**login, "SSH_JUMP": jump} if jump else login
