"""The check after control plane and workers: is the cluster well, by its own word and by what gets through it?

Waits, up to a limit, for what may pass by itself, and says for what. Whether GPUs are offered is asked elsewhere.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cluster.ansible import Outcome, Play, play
from cluster.check import judge, pods, probes
from cluster.check.model import Cluster, cluster
from cluster.probe import failures
from cluster.probe.model import Node, nodes
from cluster.report import Problem, Report
from cluster.settings.model import Settings

__all__ = ["Wait", "check", "through"]

_SHOWN = 3


@dataclass(frozen=True)
class Wait:
    """How long to wait for what may pass, and how long between two looks; seconds. Clock and sleep are for tests."""

    most: float = 600.0
    every: float = 10.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class _Question:
    """Everything that a look needs."""

    inventory: Path
    log: Path
    group: str
    settings: Settings
    ansible: Path | None
    kubeconfig: Path | None
    run: Callable[[Play], Outcome]

    def play(self, playbook: str, limit: str = "", **extra: Any) -> Outcome:
        return self.run(Play(playbook, self.inventory, self.log, ansible=self.ansible, limit=limit, extra=extra))


@dataclass(frozen=True)
class _Look:
    """What one look found."""

    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def stops(self) -> list[Problem]:
        return [each for each in self.problems if each.severity == "error"]


def check(
    inventory: Path,
    log: Path,
    group: str,
    settings: Settings,
    ansible: Path | None,
    *,
    kubeconfig: Path | None = None,
    wait: Wait = Wait(),
    say: Callable[[str], None] = lambda _: None,
    run: Callable[[Play], Outcome] = play,
) -> Report:
    """Return how the cluster is.

    ``group``: ``kube_control_plane`` or ``kube_node``, whose nodes have to be Ready. ``kubeconfig``: ask with kubectl
    of this machine in place of a control plane's; left out, so it is where ``kubernetes.kubeconfig`` is set. ``say``
    hears what is waited for. Raises OSError where Ansible cannot be started.
    """
    given = kubeconfig or settings.kubernetes.kubeconfig
    own = Path(given).expanduser().absolute() if given else None
    question = _Question(inventory, log, group, settings, ansible, own, run)
    until = wait.clock() + wait.most
    while True:
        look = _look(question)
        left = until - wait.clock()
        if not look.stops or not all(each.passes for each in look.stops) or left <= 0:
            break
        say(f"waiting for {_waited_for(look.stops)} ({left:.0f} s left)")
        wait.sleep(min(wait.every, left))
    asked = judge.Wanted.of(settings, group).nodes
    return Report.of(f"check of {group}", asked, look.problems, look.notes, str(log))


def _waited_for(problems: Iterable[Problem]) -> str:
    words = [f"{each.node}: {each.what}: {each.found}" for each in problems]
    more = len(words) - _SHOWN
    return "; ".join([*words[:_SHOWN], f"{more} more"] if more > 0 else words)


def _look(question: _Question) -> _Look:
    """Ask the cluster; only of one that is well, ask through it as well."""
    outcome = question.play("check.yml", **_variables(question))
    wanted = judge.Wanted.of(question.settings, question.group)
    failed = _failed(question, outcome)
    said: Mapping[str, Any] = next((each["cluster"] for each in outcome.told.values() if "cluster" in each), {})
    if not said:
        nobody = Problem(
            judge.CLUSTER, "API", "nobody could be asked", "an answer", f"the log says why: {question.log}"
        )
        return _Look(tuple(failed) or (nobody,))
    found = cluster(said)
    problems = [*failed, *judge.judge(found, wanted)]
    if question.kubeconfig or any(each.severity == "error" for each in problems):
        own = "the cluster was asked with kubectl here: nothing was asked from its nodes"
        return _Look(tuple(problems), (own,) if question.kubeconfig else ())
    return _through(question, found, problems)


def _through(question: _Question, found: Cluster, problems: list[Problem]) -> _Look:
    """Ask from every node that is in the cluster for pods, services and DNS, where need be from a pod of ours."""
    nodes = probes.bare(found, judge.Wanted.of(question.settings, question.group).nodes)
    left = any(probes.is_ours(pod) for pod in found.pods or ())
    others = replace(found, pods=tuple(pod for pod in found.pods or () if not probes.is_ours(pod)))
    if not nodes and not left:
        return _asked_through(question, found, problems)
    # Only where a pod is left of a check that was killed, or one is to be made, is anything done to the cluster.
    try:
        outcome = question.play("probe_pods.yml", **probes.variables(found, nodes))
        made = probes.read(outcome.told, found, nodes)
        return _asked_through(question, replace(others, pods=(*(others.pods or ()), *made.pods)), problems, made.notes)
    finally:
        if nodes:
            question.play("probe_pods.yml", **probes.variables(found, ()))


def _asked_through(question: _Question, found: Cluster, problems: list[Problem], notes: tuple[str, ...] = ()) -> _Look:
    told, failed = _probed(question, found)
    return _Look((*problems, *failed, *pods.judge(told, found)), (*pods.notes(told, found), *notes))


def _probed(question: _Question, found: Cluster) -> tuple[dict[str, Node], list[Problem]]:
    wanted = judge.Wanted.of(question.settings, question.group)
    limit = question.group if wanted.partly else ""
    outcome = question.play("pods.yml", limit, pods=pods.question(found, question.settings))
    joined = set(found.nodes or {})
    told = {name: node for name, node in nodes(outcome.told).items() if name in joined}
    failed = [each for each in _failed(question, outcome) if each.node in joined]
    # Who neither answered nor failed has not been asked: that proves nothing, and is no pass.
    for name in wanted.nodes:
        if name in joined and name not in {each.node for each in failed} and not (name in told and told[name].pods):
            remedy = f"run the same again; the log says why it was not: {question.log}"
            failed.append(
                Problem(name, "pod network", "was not asked", "an answer from each node", remedy, passes=True)
            )
    return told, failed


def through(
    inventory: Path, log: Path, settings: Settings, ansible: Path | None, run: Callable[[Play], Outcome] = play
) -> tuple[Cluster | None, dict[str, Node], list[Problem]]:
    """Return the cluster (None where none answers), what its nodes said of pods and services, and who could not be
    asked; nothing is waited for.
    """
    question = _Question(inventory, log, "kube_node", settings, ansible, None, run)
    outcome = question.play("check.yml", **_variables(question))
    said = next((each["cluster"] for each in outcome.told.values() if "cluster" in each), None)
    if not said or not cluster(said).nodes:
        return None, {}, []
    found = cluster(said)
    return (found, *_probed(question, found))


def _variables(question: _Question) -> dict[str, Any]:
    provisioner = question.settings.kubernetes.provisioner
    if question.kubeconfig:
        words = ["kubectl", "--kubeconfig", str(question.kubeconfig)]
        return {
            "check_kubectl": words,
            "check_etcd": "",
            "check_servers": {"": ""},
            "check_on": "localhost",
            "check_path": os.environ.get("PATH", ""),
        }
    if provisioner == "k3s":
        return {"check_etcd": "", "check_servers": {"": ""}}
    # Each by the address that its certificate names; the configuration may name one that moves among them.
    servers = {each.name: f"https://{each.address}:6443" for each in question.settings.by_role("control-plane")}
    return {"check_etcd": provisioner, "check_servers": servers}


def _failed(question: _Question, outcome: Outcome) -> list[Problem]:
    addresses = {machine.name: str(machine.address) for machine in question.settings.machines}
    return failures.problems(outcome.failures, question.settings.access.user, addresses, str(question.log))
