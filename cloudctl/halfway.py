"""Pools and networks of ours that libvirt has defined and never started: its daemon died between the two steps.

The provider cannot go on from there. What is ours is known by its derived UUID; nothing else is touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from cloudctl.exits import CannotTellError
from cloudctl.virsh import Virsh
from cluster.identity import libvirt_uuid
from cluster.settings.model import Settings

Say = Callable[[str], None]


@dataclass(frozen=True)
class Kind:
    """How virsh asks for a kind of object, and what brings one up; ``{}`` is its name."""

    name: str
    uuid: str
    info: str
    start: tuple[str, ...]


POOL = Kind("pool", "pool-uuid", "pool-info", ("pool-build", "pool-start", "pool-autostart"))
NETWORK = Kind("network", "net-uuid", "net-info", ("net-start", "net-autostart"))


@dataclass(frozen=True)
class Halfway:
    """A pool or network of ours at a URI that was defined and never started."""

    uri: str
    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind.name} {self.name} at {self.uri} was defined and never started"


def find(settings: Settings, stack: str, virsh: Virsh) -> list[Halfway]:
    """Return what of a stack is defined and not active, on each host that is not played by a facts file."""
    return list(_find(settings, stack, virsh))


def finish(found: Iterable[Halfway], virsh: Virsh, say: Say) -> None:
    """Start it. Raises CannotTellError with libvirt's words and the remedy of the first that does not start."""
    failed: list[CannotTellError] = []
    for each in found:
        say(f"{each}: starting it")
        try:
            for verb in each.kind.start:
                virsh.act(each.uri, verb, each.name)
        except CannotTellError as error:
            failed.append(error)
    if failed:
        raise failed[0]


def _find(settings: Settings, stack: str, virsh: Virsh) -> Iterator[Halfway]:
    for host in settings.hosts:
        if host.facts:
            continue
        for kind, name in ((POOL, host.pool.name), (NETWORK, settings.network.name)):
            if virsh.ask(host.uri, kind.uuid, name) != libvirt_uuid(stack, host.name, kind.name, name):
                continue
            info = virsh.ask(host.uri, kind.info, name) or ""
            fields = {
                key.strip(): value.strip() for key, _, value in (line.partition(":") for line in info.split("\n"))
            }
            if fields.get("State") == "inactive" or fields.get("Active") == "no":
                yield Halfway(host.uri, kind, name)
