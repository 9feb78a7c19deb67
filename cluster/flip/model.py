"""Values of a flip: two sides, their VMs, the cards between them, the cloud's nodes and services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Target = Literal["serve", "train"]
Side = Literal["cloud", "hpc"]

TAKER: Mapping[Target, Side] = {"serve": "cloud", "train": "hpc"}
"""Which side has the GPUs once a flip is through."""

GIVER: Mapping[Target, Side] = {"serve": "hpc", "train": "cloud"}

OTHER: Mapping[Target, Target] = {"serve": "train", "train": "serve"}

PASSTHROUGH = "vfio-pci"
"""The driver that a function is bound to while a VM has it (VFIO)."""


OFF = ("shut-off", "absent")
"""States in which a VM holds nothing; ``absent`` is ours, for one that is not defined."""


class FlipError(Exception):
    """A step that could not be finished, or a flip that will not be begun; the message has a remedy."""


@dataclass(frozen=True)
class Vm:
    """A VM that defines a shared GPU. ``state`` as libvirt says it, blanks as dashes: running, shut-off, paused, ...

    ``hostdevs`` are all PCI functions of its definition.
    """

    side: Side
    host: str
    uri: str
    name: str
    state: str
    autostart: bool = False
    hostdevs: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Host and name: what a journal calls it."""
        return f"{self.host}/{self.name}"

    @property
    def on(self) -> bool:
        """Whether it may hold devices now."""
        return self.state not in OFF


@dataclass(frozen=True)
class Device:
    """A PCI function as the host has it now."""

    address: str
    vendor_device: str
    driver: str | None


@dataclass(frozen=True)
class Card:
    """A GPU that both sides define, with every function that moves along, the GPU first.

    ``cloud`` and ``hpc`` are the names of the VMs that define it, ``planned`` the machine that the settings give it to;
    ``lease`` is (owner, VM), or None.
    """

    host: str
    address: str
    functions: tuple[str, ...]
    planned: str
    cloud: tuple[str, ...]
    hpc: tuple[str, ...]
    lease: tuple[str, str] | None = None

    @property
    def key(self) -> str:
        """Host and address."""
        return f"{self.host}/{self.address}"

    def vms(self, side: Side) -> tuple[str, ...]:
        """Return the names of a side's VMs that define it."""
        return self.cloud if side == "cloud" else self.hpc


@dataclass(frozen=True)
class HostView:
    """A host's PCI functions by address, and which functions each running VM has."""

    devices: Mapping[str, Device]
    held: Mapping[str, tuple[str, ...]]

    def holder(self, address: str) -> str | None:
        """Return the running VM that has a function, or None."""
        return next((vm for vm, functions in self.held.items() if address in functions), None)


@dataclass(frozen=True)
class Node:
    """A node of the cluster."""

    ready: bool
    cordoned: bool


@dataclass(frozen=True)
class Service:
    """A model's InferenceService; ``stopped`` is KServe's stop annotation, ``pods`` how many it still has."""

    stopped: bool
    ready: bool
    pods: int = 0


@dataclass(frozen=True)
class Cluster:
    """What the Kubernetes API says.

    ``missing``: why there is none to ask (no cluster yet, no kubectl); ``down``: why it did not answer.
    """

    nodes: Mapping[str, Node] = field(default_factory=dict)
    services: Mapping[str, Service] = field(default_factory=dict)
    missing: str | None = None
    down: str | None = None

    @property
    def silent(self) -> str | None:
        """Why there is no answer, or None."""
        return self.missing or self.down

    @property
    def answers(self) -> bool:
        """Whether the API answered."""
        return self.down is None and self.missing is None


@dataclass(frozen=True)
class Scene:
    """What is where. ``models`` are the stack's models that need a GPU; ``all_go``: no GPU of the stack stays behind.

    ``controls`` are the stack's control planes on these hosts, which no flip touches; ``remarks`` say what is left
    alone. ``updates`` names the updates of the stack that are at work, which may be making VMs.
    """

    owner: str
    hpc: str
    vms: tuple[Vm, ...]
    cards: tuple[Card, ...]
    views: Mapping[str, HostView]
    cluster: Cluster
    models: tuple[str, ...] = ()
    controls: tuple[Vm, ...] = ()
    all_go: bool = True
    remarks: tuple[str, ...] = ()
    updates: tuple[str, ...] = ()

    def of(self, side: Side) -> tuple[Vm, ...]:
        """Return a side's VMs."""
        return tuple(vm for vm in self.vms if vm.side == side)

    def vm(self, host: str, name: str) -> Vm:
        """Return a VM."""
        return next(vm for vm in self.vms if (vm.host, vm.name) == (host, name))

    def holders(self, card: Card, side: Side) -> tuple[Vm, ...]:
        """Return the VMs of a side that define a card."""
        return tuple(self.vm(card.host, name) for name in card.vms(side))

    def lease_of(self, card: Card, side: Side) -> tuple[str, str]:
        """Return the (owner, VM) that a card's lease names while a side has it."""
        if side == "hpc":
            return self.hpc, card.hpc[0]
        return self.owner, card.cloud[0] if card.cloud else card.planned

    def side_of(self, card: Card) -> Side | None:
        """Return the side that holds a card's lease; None: neither."""
        sides: dict[str, Side] = {self.owner: "cloud", self.hpc: "hpc"}
        return sides.get(card.lease[0]) if card.lease else None
