"""etcd's quorum: no update makes anew, deletes and restarts more control planes than the cluster bears.

etcd with n members works while more than half of them do, so it bears the loss of (n - 1) // 2. A policy cannot see
this: it is shown the resources as they will be, not which of them have to go first. Live facts show it: every VM of
ours says in its metadata from which image and in which shape it was made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cluster.budget.findings import Finding
from cluster.render.domain_xml import Definition
from cluster.settings.model import Settings
from cluster.standing import Standing, Vm
from cluster.vm import image_kind

CONTROL_PLANE = "control-plane"


@dataclass(frozen=True)
class Loss:
    """A control plane that an update would take away, and why; ``image`` is that which it has."""

    vm: Vm
    why: str
    other_image: bool = False


def quorum(settings: Settings, planned: Mapping[str, Definition], standing: Standing) -> list[Finding]:
    """Return a refusal where an update would cost etcd its quorum, and a remark on a leave for that which is not used.

    What cannot be known beforehand does not count: a member that runs and is not well, and a host that was taken out of
    the settings together with its VMs.
    """
    members = sorted((vm for vm in standing.vms if vm.role == CONTROL_PLANE), key=lambda vm: (vm.name, vm.host))
    gone = [vm for vm in standing.lost if vm.role == CONTROL_PLANE]
    losses = list(_losses(settings, planned, members))
    lost = [loss.vm for loss in losses]
    left = [vm for vm in members if vm.running and vm not in lost]
    restarts = [vm for vm in left if _restarts(settings, vm)]
    expendable = set(settings.kubernetes.expendable)
    if not losses and not restarts:
        return list(_unused(expendable, members))
    every = [*members, *gone]
    least = len(every) // 2 + 1
    # Sizes are changed one control plane after the other, so at most one of these is away.
    there = len(left) - (1 if restarts else 0)
    if there >= least or {vm.name for vm in [*lost, *restarts]} <= expendable:
        return []
    if not losses and len(left) == len(every) == least:
        return [_outage(restarts, every)]
    return [_refusal(losses, restarts, every, least)]


def pins(settings: Settings, standing: Standing, digests: Mapping[str, str]) -> list[Finding]:
    """Return a refusal for each VM that is pinned to an image which nobody has any more.

    An earlier image is in a host's pool as long as a VM there was made from it; nothing can build it again.
    ``digests`` are those of today's images, by kind.
    """
    found = []
    for machine in settings.machines:
        if machine.image is None or machine.image == digests[image_kind(settings, machine)]:
            continue
        host = settings.host_of(machine).name
        known = {vm.image for vm in standing.vms if vm.host == host and vm.image}
        if machine.image not in known:
            has = ", ".join(sorted(known)) or "none"
            message = (
                f"vm {machine.name} is to stay on image {machine.image}, which no VM of host {host} was made from"
                f" (images there: {has})"
            )
            remedy = f"write machines[{machine.name}].image: one of these, or leave it out for today's image"
            found.append(Finding("image-unknown", "refuse", host, machine.name, message, remedy))
    return found


def _losses(settings: Settings, planned: Mapping[str, Definition], members: Sequence[Vm]) -> Iterator[Loss]:
    hosts = {machine.name: settings.host_of(machine).name for machine in settings.machines}
    for vm in members:
        plan = planned.get(vm.name)
        if plan is None:
            yield Loss(vm, "is not planned any more")
        elif hosts[vm.name] != vm.host:
            yield Loss(vm, f"moves to host {hosts[vm.name]}")
        elif vm.image != plan.image:
            yield Loss(vm, f"has image {vm.image or 'unknown'}, {plan.image} is planned", other_image=True)
        elif vm.shape != plan.shape:
            yield Loss(vm, "differs in what only a replacement can change (machine, firmware, CPU, network, pool)")


def _restarts(settings: Settings, vm: Vm) -> bool:
    """Whether a VM that stays has other vCPUs or memory than planned, and so will be started anew."""
    machine = next((each for each in settings.machines if each.name == vm.name), None)
    if machine is None or vm.cores is None:
        return False
    return (vm.cores, vm.memory_mib) != (machine.cores, int(machine.memory))


def _unused(expendable: set[str], members: Sequence[Vm]) -> Iterator[Finding]:
    named = sorted(expendable & {vm.name for vm in members})
    if named:
        host = next(vm.host for vm in members if vm.name == named[0])
        message = f"kubernetes.expendable names {', '.join(named)}, and no control plane has to go"
        yield Finding("expendable", "warn", host, None, message, "take it out, so that it covers no later mistake")


def _outage(restarts: Sequence[Vm], members: Sequence[Vm]) -> Finding:
    """Return a remark where all members run and the cluster is so small that it bears no restart at all."""
    names = _control_planes([vm.name for vm in restarts])
    message = (
        f"{names} will be restarted with another size, and etcd with {_count(len(members), 'member')} bears the loss of"
        " 0: the Kubernetes API is away meanwhile"
    )
    return Finding(
        "quorum", "warn", restarts[0].host, None, message, "nothing is lost by it; three would bear one away"
    )


def _refusal(losses: Sequence[Loss], restarts: Sequence[Vm], members: Sequence[Vm], least: int) -> Finding:
    lost = [loss.vm for loss in losses]
    off = [vm.name for vm in members if not vm.running and vm not in lost]
    resized = ", ".join(vm.name for vm in restarts)
    if losses:
        reasons = "; ".join(f"{loss.vm.name} {loss.why}" for loss in losses)
        message = f"{_control_planes([vm.name for vm in lost])} would go at once ({reasons})"
    else:
        message = f"{_control_planes([vm.name for vm in restarts])} would be restarted with another size"
    message += f", but etcd with {_count(len(members), 'member')} bears the loss of {len(members) - least}"
    if off:
        message += f"; {', '.join(off)} {'is' if len(off) == 1 else 'are'} not running as it is"
    if losses and restarts:
        message += f"; {resized} would be restarted with another size meanwhile"
    taken = ", ".join(vm.name for vm in [*lost, *restarts])
    consent = f"where the cluster may be lost, write kubernetes.expendable: [{taken}]"
    if losses:
        remedy = _remedy(losses, len(members), least, consent)
    else:
        remedy = f"leave the sizes as they are until {' and '.join(off)} can be used again; or, {consent}"
    return Finding("quorum", "refuse", [*lost, *restarts][0].host, None, message, remedy)


def _remedy(losses: Sequence[Loss], count: int, least: int, consent: str) -> str:
    pinned = [loss for loss in losses if loss.other_image and loss.vm.image]
    if count - least < 1:
        kept = "".join(f"keep {each.vm.name} as it is (machines[].image: {each.vm.image}), or " for each in pinned)
        return kept + consent
    if pinned:
        hold = ", ".join(f"machines[{each.vm.name}].image: {each.vm.image}" for each in pinned)
        return f"let all but one stay on the image that they have ({hold}) and change one at a time; or, {consent}"
    return f"change one at a time, each in an update of its own; or, {consent}"


def _control_planes(names: Sequence[str]) -> str:
    return f"control plane{'' if len(names) == 1 else 's'} {', '.join(names)}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
