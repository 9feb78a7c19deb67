"""VMs of ours that libvirt takes for starting for ever: its daemon died after it began, and before QEMU ran.

libvirt puts a VM's state on record, in ``/run/libvirt/qemu/NAME.xml``, before QEMU has a process. A daemon that reads
such a record finds no process to go on with (``qemuProcessReconnectHelper`` of libvirt 9.0: nothing is done for
``pid='0'``) and yet takes over the job that was under way, so nobody can start, stop or undefine the VM any more:
"cannot acquire state change lock", after another restart of the daemon too. Only the host's administrator can take the
record away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cloudctl.exits import RefusedError
from cloudctl.virsh import Virsh
from cluster.identity import libvirt_uuid
from cluster.settings.model import Settings

Say = Callable[[str], None]

PATIENCE_S = 60.0
"""How long a start may take that is really under way: a host that boots starts its VMs by itself."""


@dataclass(frozen=True)
class Stuck:
    """A VM of ours that libvirt takes for starting."""

    uri: str
    name: str
    uuid: str

    def __str__(self) -> str:
        return f"{self.name} at {self.uri} is being started, says libvirt"

    @property
    def way_out(self) -> str:
        """What to do on the host: a record without a process is taken away, and the daemon reads the others again."""
        return f"sudo rm /run/libvirt/qemu/{self.name}.xml && sudo systemctl restart libvirtd"


def find(settings: Settings, stack: str, virsh: Virsh) -> list[Stuck]:
    """Return which VMs of a stack are being started. Raises CannotTellError where a host does not answer."""
    ours = ((settings.host_of(machine), machine.name) for machine in settings.machines)
    named = (
        Stuck(host.uri, name, libvirt_uuid(stack, host.name, "domain", name)) for host, name in ours if not host.facts
    )
    return [each for each in named if virsh.starting(each.uri, each.uuid)]


def refuse(settings: Settings, stack: str, virsh: Virsh, say: Say) -> None:
    """Wait for starts that are under way. Raises RefusedError with the way out for those that do not end.

    Raises CannotTellError where a host does not answer.
    """
    told: set[Stuck] = set()

    def look() -> list[Stuck]:
        found = find(settings, stack, virsh)
        for each in found:
            if each not in told:
                say(f"{each}: waiting for it, at most {PATIENCE_S:g} s")
        told.update(found)
        return found

    if found := virsh.outlast(look, PATIENCE_S):
        raise RefusedError("; ".join(_told(each) for each in found))


def _told(each: Stuck) -> str:
    return (
        f"{each}, and has said so for {PATIENCE_S:g} s: libvirt's daemon died while it started the VM, and keeps that"
        f" on record; on that host, where `pgrep -f guest={each.name},` finds no process: {each.way_out} (other VMs"
        " run on); then run this again"
    )
