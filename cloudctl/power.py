"""Stopping and starting a stack's machines: which, in which order, and never one that is not ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cloudctl.exits import CannotTellError, RefusedError
from cloudctl.virsh import Found, Virsh
from cluster.settings.model import Machine, Settings

Say = Callable[[str], None]


@dataclass(frozen=True)
class Group:
    """Machines that go down, or come up, together."""

    title: str
    vms: tuple[Found, ...]

    def in_state(self, *states: str) -> tuple[Found, ...]:
        """Return the machines that are in one of some states."""
        return tuple(vm for vm in self.vms if vm.state in states)


def survey(settings: Settings, owner: str, virsh: Virsh) -> tuple[Group, Group]:
    """Return (workers, control planes) as libvirt has them now.

    Raises CannotTellError where facts come from a file, since there is no live host to act on then, and RefusedError
    where a VM of one of our names carries another's mark or none.
    """
    filed = [f"{host.name} ({host.facts})" for host in settings.hosts if host.facts]
    if filed:
        raise CannotTellError(
            f"the facts of host {', '.join(filed)} come from a file, so there is no live host to act on;"
            " take hosts[].facts out of the settings to work on the real one"
        )
    workers = [machine for machine in settings.machines if machine.role != "control-plane"]
    found = (
        Group("workers", _look(settings, workers, virsh)),
        Group("control planes", _look(settings, settings.by_role("control-plane"), virsh)),
    )
    foreign = [
        f"{vm.name} at {vm.uri} belongs to {vm.owner or 'nobody we know'}, not to {owner}"
        for group in found
        for vm in group.vms
        if vm.state != "absent" and vm.owner != owner
    ]
    if foreign:
        raise RefusedError(f"{'; '.join(foreign)}; nothing was touched; rename the machine or that VM")
    return found


def stop(groups: Sequence[Group], virsh: Virsh, patience_s: float, say: Say) -> None:
    """Shut workers down, then the control planes: pods end while the API still answers. Raises if one stays on."""
    for group in groups:
        vms = group.in_state("running")
        for vm in vms:
            say(f"shutting down {vm.name} at {vm.uri}")
            virsh.shut_down(vm)
        rest = virsh.await_off(vms, patience_s) if vms else []
        paused = group.in_state("paused")
        if rest or paused:
            names = ", ".join(vm.name for vm in (*rest, *paused))
            hints = " && ".join(f"virsh -c {vm.uri} destroy {vm.name}" for vm in (*rest, *paused))
            why = f"still on after {patience_s:g} s" if rest else "paused, and so cannot shut down"
            raise RefusedError(f"{names}: {why}; what follows was left on; to pull the plug: {hints}")


def start(groups: Sequence[Group], virsh: Virsh, say: Say) -> None:
    """Start the control planes, then the workers; those that run already are left alone."""
    for group in reversed(groups):
        for vm in group.in_state("shut-off"):
            say(f"starting {vm.name} at {vm.uri}")
            virsh.start(vm)


def _look(settings: Settings, machines: Sequence[Machine], virsh: Virsh) -> tuple[Found, ...]:
    return tuple(virsh.look(settings.host_of(machine).uri, machine.name) for machine in machines)
