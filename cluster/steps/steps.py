"""The steps by name. Each may be run again at any time, also after it was killed: what is healthy is left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from cluster import check, preflight, whole
from cluster.ansible import Task, play
from cluster.ansible.run import PLAYBOOKS
from cluster.render.group_vars import virtual_address
from cluster.render.image import digest, read_files
from cluster.report import Report
from cluster.settings.model import Settings
from cluster.steps import fetch, nodes, refusals
from cluster.steps.context import Context
from cluster.steps.errors import StepError
from cluster.steps.failure import failed
from cluster.steps.inputs import shaping_files, worker_variables
from cluster.steps.left import forget, reached
from cluster.steps.plays import Plays, Run
from cluster.steps.progress import Progress
from cluster.steps.provisioners import PROVISIONERS
from cluster.upgrades import Noted, note

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
    found = preflight.check(
        step.context.inventory, plays.log, step.settings, plays.tools.ansible, say=_progress(step), run=plays.look
    )
    return _verdict(found, step)


def control_plane(step: Step) -> str:
    """Make the control planes and etcd, or bring them to the version that is wanted."""
    hosts = [machine.name for machine in step.settings.by_role("control-plane")]
    standing, wanted = _standing(step), version(step.settings)
    refusals.control_planes(step.context, standing, wanted)
    installed = nodes.versions(standing, hosts)
    upgrade = any(each != wanted for each in installed)
    if upgrade:
        step.say(f"control plane: from {installed[0]} to {wanted}, one node after the other")
    planes = nodes.planes(hosts, standing)
    provisioner = PROVISIONERS[step.settings.kubernetes.provisioner]
    provisioner.before(step.plays, planes)
    _remove(step, planes.remove, planes.gone)
    provisioner.control_planes(step.plays, planes, upgrade=upgrade)
    step.plays.ours("certificate_metrics.yml")
    _note(step, planes, standing, wanted)
    return f"control plane {', '.join(hosts)}: Kubernetes {wanted}"


def workers(step: Step) -> str:
    """Join the workers that are missing, see to those that were made differently, take out those no longer wanted."""
    wanted = _marks(step)
    standing = _standing_of_those_that_answer(step)
    planes = nodes.planes([each.name for each in step.settings.by_role("control-plane")], standing)
    todo = nodes.work(wanted, version(step.settings), standing, planes.there)
    refusals.workers(step.context, standing, version(step.settings), todo.upgrade)
    if todo.nothing:
        return f"{_workers(wanted)}: nothing to do"
    for word, names in (("join", todo.join), ("configure again", todo.again), ("upgrade", todo.upgrade)):
        if names:
            step.say(f"workers: {word} {', '.join(names)}")
    _remove(step, todo.remove, todo.gone)
    touched = (*todo.join, *todo.again, *todo.upgrade)
    if touched:
        PROVISIONERS[step.settings.kubernetes.provisioner].workers(step.plays, todo)
        step.plays.ours("mark_nodes.yml", marks={name: wanted[name] for name in touched})
    done = [f"made {', '.join(touched)}"] if touched else []
    done += [f"removed {', '.join(todo.remove)}"] if todo.remove else []
    return f"{_workers(wanted)}: {'; '.join(done)}"


def _workers(names: Iterable[str]) -> str:
    return f"workers {', '.join(names)}" if names else "no workers"


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
        whole.replace(target, text, whole.PRIVATE)
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
    name: str,
    context: Context,
    say: Callable[[str], None],
    *,
    prepare: Callable[..., fetch.Tools] = fetch.prepare,
    play: Run = play,
) -> str:
    """Run a step and return what to print. Raises StepError: which step, what failed, the log, how to go on."""
    log = context.log(name)
    say(f"{name}: log {log}")
    try:
        tools = prepare(context.settings.kubernetes, context.cache, log)
        return STEPS[name](Step(name, context, Plays(name, context, tools, log, play), say))
    except StepError as error:
        raise failed(name, error, context, log) from None


def version(settings: Settings) -> str:
    """Return the Kubernetes version that is wanted: three numbers. k3s' own count behind the plus is in the marks."""
    kubernetes = settings.kubernetes
    wanted = kubernetes.k3s if kubernetes.provisioner == "k3s" else kubernetes.version
    return wanted.removeprefix("v").partition("+")[0]


def _standing(step: Step) -> nodes.Standing:
    return nodes.read(step.plays.ours("installed.yml").told)


def _standing_of_those_that_answer(step: Step) -> nodes.Standing:
    """Return what there is as far as it answers: a control plane that is off is not to keep workers from joining."""
    return nodes.read(step.plays.asked("installed.yml").told)


def _remove(step: Step, removed: Sequence[str], gone: Sequence[str]) -> None:
    """Take nodes out of the cluster: those no longer wanted, and those whose VM is another one by now."""
    if removed:
        step.say(f"{step.name}: drain and remove {', '.join(removed)}")
    if gone:
        step.say(f"{step.name}: forget {', '.join(gone)}, whose VM was made anew")
    if removed or gone:
        run_dir = step.context.run_dir
        step.plays.ours(
            "remove_nodes.yml",
            removed=list(removed),
            gone=list(gone),
            left=reached(run_dir, removed),
            drain_timeout=DRAIN_TIMEOUT_S,
        )
        forget(run_dir, removed)


def _note(step: Step, planes: nodes.Planes, standing: nodes.Standing, wanted: str) -> None:
    """Write down what there is by now: on this machine, for the next preview, and which Kubespray on the nodes."""
    kubernetes = step.settings.kubernetes
    release, endpoint = "", ""
    if kubernetes.provisioner == "kubespray":
        release = kubernetes.kubespray
        step.plays.ours("mark_nodes.yml", marks=dict.fromkeys(planes.ordered, release))
    if kubernetes.provisioner == "kubeadm":
        address = virtual_address(step.settings) or step.settings.by_role("control-plane")[0].address
        endpoint = standing.endpoint or f"{address}:6443"
    note(step.context.run_dir, Noted(wanted, release, endpoint))


def _marks(step: Step) -> dict[str, str]:
    """Return the mark of each worker that is wanted."""
    inventory: Any = yaml.safe_load(step.context.inventory.read_text(encoding="utf-8"))
    hosts = inventory["all"]["hosts"]
    files = shaping_files(step.settings.kubernetes.provisioner, control_plane=False)
    ours = digest({}, read_files(PLAYBOOKS, *files)) if files else ""
    made = {"group": worker_variables(step.settings), "ours": ours}
    names = [machine.name for machine in step.settings.machines if machine.role != "control-plane"]
    return {name: nodes.mark(step.context, {**made, "host": hosts[name]}, name) for name in names}


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
        run=plays.look,
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
        raise StepError(str(replace(report, log="")))  # the log is named once, for all errors
    return str(report)


def _given(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise StepError(
            f"kubernetes.kubeconfig: {path} cannot be read: {error.strerror}; name the kubeconfig of the existing"
            " cluster, with an administrator's rights"
        ) from None
