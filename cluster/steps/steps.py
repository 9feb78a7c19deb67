"""The steps by name. Each may be run again at any time, also after it was killed: what is healthy is left alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cluster import check, preflight
from cluster.ansible import Task
from cluster.report import Report
from cluster.settings.model import Settings
from cluster.steps import fetch, nodes
from cluster.steps.context import Context
from cluster.steps.errors import StepError
from cluster.steps.plays import Plays
from cluster.steps.progress import Progress
from cluster.steps.provisioners import PROVISIONERS
from cluster.upgrades import note
from cluster.versions.upgrade import upgrade_step

DRAIN_TIMEOUT_S = 600


@dataclass(frozen=True)
class Step:
    """A step under way. ``say`` shows a line of progress."""

    name: str
    context: Context
    plays: Plays
    say: Callable[[str], None]

    @property
    def settings(self) -> Settings:
        """The stack's settings, those sections that steps need."""
        return self.context.settings


def preflight_step(step: Step) -> str:
    """Ask every VM whether it is fit for Kubernetes. Raises StepError with a report of all problems of all of them."""
    plays = step.plays
    found = preflight.check(step.context.inventory, plays.log, step.settings, plays.tools.ansible, say=_progress(step))
    return _verdict(found, step)


def control_plane(step: Step) -> str:
    """Make the control planes and etcd, or bring them to the version that is wanted."""
    hosts = [machine.name for machine in step.settings.by_role("control-plane")]
    standing = _standing(step)
    installed, wanted = nodes.oldest(standing, hosts), version(step.settings)
    upgrade = bool(installed) and installed != wanted
    if upgrade:
        _allowed(installed, wanted)
        step.say(f"control plane: from {installed} to {wanted}, one node after the other")
    PROVISIONERS[step.settings.kubernetes.provisioner].control_planes(step.plays, upgrade=upgrade)
    step.plays.ours("certificate_metrics.yml")
    note(step.context.run_dir, wanted)
    return f"control plane {', '.join(hosts)}: Kubernetes {wanted}"


def workers(step: Step) -> str:
    """Join the workers that are missing, see to those that were made differently, take out those no longer wanted."""
    wanted = _marks(step)
    todo = nodes.work(wanted, version(step.settings), _standing(step))
    if todo.nothing:
        return f"workers {', '.join(wanted)}: nothing to do"
    for word, names in (("join", todo.join), ("configure again", todo.again), ("upgrade", todo.upgrade)):
        if names:
            step.say(f"workers: {word} {', '.join(names)}")
    if todo.remove:
        step.say(f"workers: drain and remove {', '.join(todo.remove)}")
        step.plays.ours("remove_nodes.yml", removed=list(todo.remove), drain_timeout=DRAIN_TIMEOUT_S)
    touched = (*todo.join, *todo.again, *todo.upgrade)
    if touched:
        PROVISIONERS[step.settings.kubernetes.provisioner].workers(step.plays, todo)
        step.plays.ours("mark_nodes.yml", marks={name: wanted[name] for name in touched})
    done = [f"made {', '.join(touched)}"] if touched else []
    done += [f"removed {', '.join(todo.remove)}"] if todo.remove else []
    return f"workers {', '.join(wanted)}: {'; '.join(done)}"


def control_plane_check(step: Step) -> str:
    """Ask the cluster whether its control plane is well."""
    return _checked(step, "kube_control_plane")


def workers_check(step: Step) -> str:
    """Ask the cluster whether all of it is well."""
    return _checked(step, "kube_node")


def kubeconfig(step: Step) -> str:
    """Fetch the administrator's kubeconfig and return it: a secret."""
    kubernetes, target = step.settings.kubernetes, step.context.kubeconfig
    if kubernetes.provisioner == "existing":
        text = _given(_path(str(kubernetes.kubeconfig)))
        target.touch(mode=0o600)
        target.write_text(text, encoding="utf-8")
        return text
    step.plays.ours("kubeconfig.yml", kubeconfig_file=str(target), api_address=step.context.api_address)
    return target.read_text(encoding="utf-8")


STEPS: Mapping[str, Callable[[Step], str]] = {
    "preflight": preflight_step,
    "control-plane": control_plane,
    "control-plane-check": control_plane_check,
    "workers": workers,
    "workers-check": workers_check,
    "check": workers_check,
    "kubeconfig": kubeconfig,
}


def run(
    name: str, context: Context, say: Callable[[str], None], *, prepare: Callable[..., fetch.Tools] = fetch.prepare
) -> str:
    """Run a step and return what to print. Raises StepError."""
    log = context.log(name)
    say(f"{name}: log {log}")
    tools = prepare(context.settings.kubernetes, context.cache)
    return STEPS[name](Step(name, context, Plays(name, context, tools, log), say))


def version(settings: Settings) -> str:
    """Return the Kubernetes version that is wanted: three numbers. k3s' own count behind the plus is in the marks."""
    kubernetes = settings.kubernetes
    wanted = kubernetes.k3s if kubernetes.provisioner == "k3s" else kubernetes.version
    return wanted.removeprefix("v").partition("+")[0]


def _standing(step: Step) -> nodes.Standing:
    return nodes.read(step.plays.ours("installed.yml").told)


def _allowed(installed: str, wanted: str) -> None:
    rule = upgrade_step(installed, wanted)
    if not rule.allowed:
        raise StepError(f"kubernetes.version: {wanted} {rule.reason}; {rule.remedy}; nothing was changed")


def _marks(step: Step) -> dict[str, str]:
    """Return the mark of each worker that is wanted."""
    inventory: Any = yaml.safe_load(step.context.inventory.read_text(encoding="utf-8"))
    variables = (step.context.inventory.parent / "group_vars" / "all" / "cluster.yml").read_text(encoding="utf-8")
    hosts = inventory["all"]["hosts"]
    names = [machine.name for machine in step.settings.machines if machine.role != "control-plane"]
    return {name: nodes.mark(step.context, {"group": variables, "host": hosts[name]}, name) for name in names}


def _checked(step: Step, group: str) -> str:
    kubernetes, plays = step.settings.kubernetes, step.plays
    found = check.check(
        step.context.inventory,
        plays.log,
        group,
        step.settings,
        plays.tools.ansible,
        kubeconfig=_path(str(kubernetes.kubeconfig)) if kubernetes.provisioner == "existing" else None,
        say=_progress(step),
    )
    return _verdict(found, step)


def _progress(step: Step) -> Callable[[str], None]:
    """Return what hears of every task and says some."""
    progress = Progress(step.name, step.say)
    return lambda task: progress(Task(task))


def _path(text: str) -> Path:
    return Path(text).expanduser()


def _verdict(report: Report, step: Step) -> str:
    if not report.ok:
        stack = step.context.stack
        raise StepError(
            f"kubernetes step {step.name} failed for stack {stack}\n{report}\n"
            f"then: pulumi up --stack {stack} (it goes on from this step)"
        )
    return str(report)


def _given(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise StepError(
            f"kubernetes.kubeconfig: {path} cannot be read: {error.strerror}; name the kubeconfig of the existing"
            " cluster, with an administrator's rights"
        ) from None
