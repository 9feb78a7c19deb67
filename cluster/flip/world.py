"""What a flip may do to the outside: the only way in which its steps touch anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cluster.flip.commands import Command
from cluster.flip.model import Card, Cluster, HostView, Scene, Vm


@dataclass(frozen=True)
class Outcome:
    """How a command ended; ``said`` is what it complained about, a line."""

    ok: bool
    said: str = ""


class World(Protocol):
    """Hosts, cluster and lease file. What does not answer raises an error of the caller's own, with its remedy."""

    def look(self) -> Scene:
        """Read everything anew."""
        ...

    def state(self, vm: Vm) -> str:
        """Return a VM's state now, as ``Vm.state``."""
        ...

    def starts_with_host(self, vm: Vm) -> bool:
        """Whether a VM is set to autostart."""
        ...

    def view(self, host: str, functions: Sequence[str]) -> HostView:
        """Return some PCI functions of a host, those that are there, and what its running VMs have."""
        ...

    def cluster(self) -> Cluster:
        """Return what the Kubernetes API says now."""
        ...

    def run(self, command: Command, seconds: float) -> Outcome:
        """Run a command without a shell, so long at most."""
        ...

    def updates(self) -> tuple[str, ...]:
        """Return the updates of the stack that are at work now, in words."""
        ...

    def transfer(self, card: Card, giver: tuple[str, str], taker: tuple[str, str]) -> None:
        """Hand a card's lease over. Raises FlipError where an update is at work for it, or a third VM has it."""
        ...

    def time(self) -> float:
        """Return seconds of a clock that never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...
