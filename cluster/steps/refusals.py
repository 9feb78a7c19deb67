"""What a step refuses from what it finds installed, before it touches anything."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.steps import nodes
from cluster.steps.context import Context
from cluster.steps.errors import StepRefusedError
from cluster.steps.failure import makes_anew, other_provisioner
from cluster.steps.nodes import Standing
from cluster.upgrades import endpoint_problem
from cluster.versions import minor_of
from cluster.versions.upgrade import UpgradeStep, release_step, upgrade_step


def control_planes(context: Context, standing: Standing, wanted: str) -> None:
    """Raise StepRefusedError where the control planes cannot become what the settings want; ``wanted``: the version."""
    _same_provisioner(context, standing)
    if problem := endpoint_problem(context.settings, standing.endpoint):
        anew = f"make the VMs anew: {makes_anew(context.stack)}, then pulumi up"
        raise StepRefusedError(f"{problem}; keep as many as there were, or {anew}; nothing was changed")
    hosts = [machine.name for machine in context.settings.by_role("control-plane")]
    installed = nodes.versions(standing, hosts)
    for each in installed:
        _allowed("kubernetes.version", wanted, upgrade_step(each, wanted))
    if context.settings.kubernetes.provisioner == "kubespray":
        release = context.settings.kubernetes.kubespray
        for each in sorted({standing.nodes[name].made for name in hosts if name in standing.nodes}):
            _allowed("kubernetes.kubespray", release, release_step(each, release))
    if installed:
        _no_worker_left_behind(context, standing, installed, wanted)


def workers(context: Context, standing: Standing, wanted: str, upgraded: Sequence[str]) -> None:
    """Raise StepRefusedError where a worker would leap: control planes that somebody upgraded have left it behind."""
    for name in upgraded:
        installed = standing.versions(name)[0]
        if not upgrade_step(installed, wanted).allowed:
            raise StepRefusedError(
                f"{name} has Kubernetes {installed}, and {wanted} is not one minor from there at most. Its VM has to be"
                f" made anew: take {name} out of machines, update, put it in again, update; nothing was changed"
            )


def _same_provisioner(context: Context, standing: Standing) -> None:
    others: dict[str, list[str]] = {}
    for name, host in standing.hosts.items():
        if host.provisioner not in ("", context.settings.kubernetes.provisioner):
            others.setdefault(host.provisioner, []).append(name)
    if others:
        raise other_provisioner(context, others)


def _no_worker_left_behind(context: Context, standing: Standing, installed: Sequence[str], wanted: str) -> None:
    """Refuse the next minor while a worker has not come to this one: it would have to leap over one afterwards."""
    here = minor_of(installed[0])
    if minor_of(wanted) <= here:
        return
    for machine in context.settings.machines:
        behind = [each for each in standing.versions(machine.name) if minor_of(each) < here]
        if behind:
            raise StepRefusedError(
                f"kubernetes.version: {wanted} would leave {machine.name} two minors behind, which has {behind[0]}"
                f" still: a kubelet goes up one minor at a time, too. Write kubernetes.version: {installed[0]} and"
                " update, which brings the workers along; then go on; nothing was changed"
            )


def _allowed(key: str, wanted: str, rule: UpgradeStep) -> None:
    if not rule.allowed:
        raise StepRefusedError(f"{key}: {wanted} {rule.reason}; {rule.remedy}; nothing was changed")
