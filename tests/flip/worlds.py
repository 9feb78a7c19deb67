"""Worlds to flip: settings and stand-in data that belong together, and a ``World`` over them in memory."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from cluster.flip.commands import Command
from cluster.flip.model import Card, Cluster, HostView, Node, Scene, Service, Vm
from cluster.flip.scene import scene, view
from cluster.flip.world import Outcome
from cluster.host.model import Cpu, Domain, GpuFacts, HostFacts, IommuGroup, PciDevice
from cluster.leases import Book, Lease
from cluster.settings.model import Settings
from cluster.types import mib
from tests.flip.standin import Data, RefusalError, Standin

OWNER = "cloud/prod"
DRIVERS = {"0": "nvidia", "1": "snd_hda_intel"}


class Killed(BaseException):
    """The run ends here, whatever it was doing."""


def uri(host: str) -> str:
    """Return a host's URI, by which only its libvirt can be asked."""
    return f"qemu+tcp://{host}/system"


def card(bus: int) -> str:
    """Return the address of a card."""
    return f"0000:{bus:02x}:00.0"


def functions(address: str) -> list[str]:
    """Return a card's functions: the GPU and its sound."""
    return [address, address[:-1] + "1"]


def devices(cards: Sequence[str]) -> Data:
    """Return the devices of a host with these cards."""
    found: Data = {}
    for number, address in enumerate(cards):
        for function in functions(address):
            driver = DRIVERS[function[-1]]
            found[function] = {
                "id": "10de:26b1" if function == address else "10de:22ba",
                "class": "0x030000" if function == address else "0x040300",
                "driver": driver,
                "home": driver,
                "group": 40 + number,
            }
    return found


def vm(owner: str | None, cards: Sequence[str], state: str = "shut off", **more: Any) -> Data:
    """Return a VM that defines cards, every function of them."""
    hostdevs = [function for address in cards for function in functions(address)]
    vm_uuid = f"{abs(hash((owner, *cards))) % 16**12:012x}"
    return {
        "owner": owner,
        "state": state,
        "autostart": False,
        "hostdevs": hostdevs,
        "uuid": f"00000000-0000-4000-8000-{vm_uuid}",
        "work": False,
        **more,
    }


def settings(cloud: Mapping[str, Mapping[str, Sequence[str]]], models: int = 1, **hpc: Any) -> Settings:
    """Return settings whose machines have these cards: host -> VM -> addresses."""
    machines: list[dict[str, Any]] = [_machine("control-1", "control-plane", next(iter(cloud)), 10, [])]
    for host, vms in cloud.items():
        for name, cards in vms.items():
            machines.append(_machine(name, "gpu-worker", host, 20 + len(machines), cards))
    return Settings.model_validate(raw_settings(list(cloud), machines, models, hpc))


def raw_settings(hosts: Sequence[str], machines: Sequence[Any], models: int, hpc: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as a file has them."""
    return {
        "hosts": [{"name": host, "uri": uri(host)} for host in hosts],
        "network": {"mode": "bridge", "bridge": "br0"},
        "machines": list(machines),
        "models": [
            {"name": f"model-{number}", "uri": "s3://models/m", "version": "1", "gpus": 1} for number in range(models)
        ],
        "hpc": {"shares_gpus": True, "drain": "hpc drain", "resume": "hpc resume", **hpc},
    }


def _machine(name: str, role: str, host: str, last: int, cards: Sequence[str]) -> dict[str, Any]:
    return {
        "name": name,
        "role": role,
        "host": host,
        "cores": 1,
        "memory": "1GiB",
        "disk": "1GiB",
        "address": f"192.168.200.{last}",
        "gpus": [{"address": address, "siblings": "auto"} for address in cards],
    }


def start_running(data: Data, names: Sequence[str]) -> None:
    """Start VMs as libvirt would, in a world that is being made."""
    standin = Standin(data)
    for where, host in data["hosts"].items():
        for name in names:
            if name in host["vms"] and host["vms"][name]["state"] == "shut off":
                standin.virsh(["-c", where, "start", name])
                host["vms"][name]["work"] = True
    data["log"].clear()


@dataclass
class ModelWorld:
    """A world in memory. ``tick`` is called before and after everything that changes something, and may end the run."""

    settings: Settings
    standin: Standin
    book: Book = field(default_factory=Book)
    tick: Callable[[str], None] = field(default=lambda _: None)
    clock: float = 0.0
    kubeconfig: str = "kubeconfig"
    owner: str = OWNER
    at_work: tuple[str, ...] = ()

    def look(self) -> Scene:
        facts = {host.name: self.facts(host.name) for host in self.settings.hosts}
        rough = scene(self.settings, self.owner, facts, self.book.leases, Cluster())
        states = {each.key: self.state(each) for each in rough.vms}
        return scene(self.settings, self.owner, facts, self.book.leases, self.cluster(), states)

    def facts(self, name: str) -> HostFacts:
        """Return a host's facts."""
        return facts_of(name, self.standin.data["hosts"][uri(name)])

    def state(self, vm: Vm) -> str:
        try:
            return self.standin.virsh(["-c", vm.uri, "domstate", vm.name]).replace(" ", "-")
        except RefusalError:
            return "absent"

    def starts_with_host(self, vm: Vm) -> bool:
        return "enable" in self.standin.virsh(["-c", vm.uri, "dominfo", vm.name])

    def view(self, host: str, functions: Sequence[str]) -> HostView:
        seen = view(self.facts(host))
        return HostView({each: device for each, device in seen.devices.items() if each in functions}, seen.held)

    def cluster(self) -> Cluster:
        data = self.standin.data["cluster"]
        if data.get("missing") or data.get("down"):
            return Cluster(missing=data.get("missing"), down=data.get("down"))
        self.standin._schedule()
        nodes = {name: Node(self.standin._runs(name), each["cordoned"]) for name, each in data["nodes"].items()}
        services = {
            name: Service(each["stopped"], self.standin.is_ready(each), int(each["pod"]))
            for name, each in data["services"].items()
        }
        return Cluster(nodes, services)

    def run(self, command: Command, seconds: float) -> Outcome:
        self.tick(f"before {' '.join(command)}")
        program, words = command[0], list(command[1:])
        try:
            {"virsh": self.standin.virsh, "kubectl": self.standin.kubectl, "hpc": self.standin.hpc}[program](words)
        except RefusalError as error:
            return Outcome(False, str(error))
        self.tick(f"after {' '.join(command)}")
        return Outcome(True)

    def updates(self) -> tuple[str, ...]:
        return self.at_work

    def transfer(self, card: Card, giver: tuple[str, str], taker: tuple[str, str]) -> None:
        self.tick("before lease")
        self.book = self.book.transfer(giver, Lease(card.host, card.address, *taker, "now"))
        self.tick("after lease")

    def time(self) -> float:
        return self.clock

    def sleep(self, seconds: float) -> None:
        self.clock += seconds
        self.standin.passes()


def facts_of(name: str, host: Data) -> HostFacts:
    """Return a host's facts as libvirt and the kernel would tell them."""
    groups: dict[int, list[PciDevice]] = {}
    for address, each in host["devices"].items():
        kind = "vga" if each["class"] == "0x030000" else "audio"
        device = PciDevice(address=address, kind=kind, vendor_device=each["id"], driver=each["driver"])
        groups.setdefault(each["group"], []).append(device)
    return HostFacts(
        name=name,
        cpu=Cpu(vendor="amd", model="a model", cores=8, virtualization=True),
        memory=mib("64GiB"),
        iommu=True,
        gpus=tuple(_gpu(each, number) for number, every in groups.items() for each in every if each.kind == "vga"),
        iommu_groups=tuple(IommuGroup(id=number, devices=tuple(each)) for number, each in groups.items()),
        domains=tuple(_domain(each, vm) for each, vm in host["vms"].items()),
    )


def _gpu(device: PciDevice, group: int) -> GpuFacts:
    return GpuFacts(
        address=device.address,
        vendor_device=device.vendor_device,
        model="a card",
        driver=device.driver,
        iommu_group=group,
    )


def _domain(name: str, vm: Data) -> Domain:
    states: dict[str, Literal["shut-off", "paused"]] = {"shut off": "shut-off", "paused": "paused"}
    return Domain(
        name=name,
        owner=vm["owner"],
        state=states.get(vm["state"], "running"),
        cores=1,
        memory=mib("1GiB"),
        hostdevs=tuple(vm["hostdevs"]),
        autostart=vm["autostart"],
    )


def snapshot(standin: Standin) -> Data:
    """Return a copy of a world, to compare."""
    return copy.deepcopy(standin.data)
