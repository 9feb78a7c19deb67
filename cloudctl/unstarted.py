"""VMs of ours that libvirt has defined and could not start: the provider forgets them, and they keep their GPUs.

One is known by its derived UUID, by being off, and by the engine's state: that has its disk, and not the VM itself.
Where the state does not have the disk either it is not this stack's state, and nothing is touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from cloudctl.virsh import Virsh
from cluster.identity import libvirt_uuid
from cluster.leases import Book, LeaseFile
from cluster.leases.update import state_of
from cluster.settings.model import Settings

DOMAIN = "libvirt:index/domain:Domain"


@dataclass(frozen=True)
class Unstarted:
    """A VM that was defined and never started."""

    uri: str
    name: str
    uuid: str

    def __str__(self) -> str:
        return f"{self.name} at {self.uri} was defined and could not start"


def find(settings: Settings, stack: str, export: Mapping[str, Any], virsh: Virsh) -> list[Unstarted]:
    """Return such VMs of a stack, by its exported state. Raises CannotTellError where a host does not answer."""
    return list(_find(settings, stack, export, virsh))


def clear(found: Iterable[Unstarted], virsh: Virsh, leases: LeaseFile, owner: str) -> None:
    """Delete the definitions, and give the GPUs back; disks stay. Raises CannotTellError with libvirt's words."""
    for each in found:
        virsh.act(each.uri, "undefine", each.uuid, "--nvram")
        leases.change(partial(_without, owner=owner, vm=each.name))


def _find(settings: Settings, stack: str, export: Mapping[str, Any], virsh: Virsh) -> Iterator[Unstarted]:
    deployment = export.get("deployment") or {}
    resources = deployment.get("resources") or []
    pending = [operation["resource"] for operation in deployment.get("pending_operations") or []]
    # One that was under way when the engine was killed is looked up by its id, and taken up as it is.
    known = {_name(each) for each in (*resources, *pending) if each["type"] == DOMAIN}
    disks = {_name(each) for each in resources if each["type"] == "libvirt:index/volume:Volume"}
    for machine in settings.machines:
        host = settings.host_of(machine)
        if host.facts or machine.name in known or f"{machine.name}-root" not in disks:
            continue
        uuid = libvirt_uuid(stack, host.name, "domain", machine.name)
        if virsh.state(host.uri, uuid) == "shut-off":
            yield Unstarted(host.uri, machine.name, uuid)


def _without(book: Book, owner: str, vm: str) -> Book:
    """Return a book without the leases of a VM for which no update is at work."""
    for lease in book.leases:
        if lease.holder == (owner, vm) and lease.update and state_of(lease.update) != "running":
            book = book.drop(lease)
    return book


def _name(resource: Mapping[str, Any]) -> str:
    return str(resource["urn"]).rsplit("::", 1)[-1]
