"""``cloudctl net check``: every way between two nodes, and on each that is broken the first hop that is.

The same questions as preflight's, with a transfer; and where there is a cluster, pods and services as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cluster import check as checks
from cluster.ansible import Outcome, Play, Task, play
from cluster.ansible.events import Event
from cluster.check import pods
from cluster.check.model import Cluster
from cluster.net.hops import Way, ways
from cluster.preflight import Limits, node
from cluster.preflight import ways as between
from cluster.probe import ask, failures, needed
from cluster.probe.alone import alone
from cluster.probe.model import nodes
from cluster.report import Report
from cluster.settings.model import Settings

__all__ = ["NetReport", "Way", "check"]

TITLE = "net check"


@dataclass(frozen=True)
class NetReport:
    """Every way between two nodes, and the problems with their remedies. ``pods``: whether there was a cluster."""

    ways: tuple[Way, ...]
    report: Report
    pods: bool

    @property
    def ok(self) -> bool:
        """Whether every way is whole."""
        return self.report.ok and not any(way.hop for way in self.ways)

    def as_json(self) -> dict[str, Any]:
        """Return the report's JSON with ``ways``, each with its fields by their names, and ``pods``."""
        return {**self.report.as_json(), "ok": self.ok, "pods": self.pods, "ways": [asdict(way) for way in self.ways]}


def check(
    inventory: Path,
    log: Path,
    settings: Settings,
    ansible: Path | None,
    *,
    limits: Limits | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> NetReport:
    """Ask every node for its ways to the others, then the cluster, where there is one, for its pods.

    Arguments as of ``cluster.preflight.check``. Raises OSError where Ansible cannot be started.
    """

    def run(what: Play) -> Outcome:
        return play(what, lambda event: _say(event, say))

    variables = {"look": ask.look(settings, transfer=True)}
    with alone(inventory, say):
        outcome = run(Play("preflight.yml", inventory, log, ansible=ansible, extra=variables))
    addresses = {machine.name: str(machine.address) for machine in settings.machines}
    found = nodes(outcome.told)
    problems = failures.problems(outcome.failures, settings.access.user, addresses, str(log))
    problems += between.judge(found, needed(settings), limits or Limits.of(settings))
    for machine in settings.machines:
        if machine.name in found and (facts := found[machine.name].facts):
            problems += node.names(machine, facts, addresses)
    cluster, probed, failed = checks.through(inventory, log, settings, ansible, run=run)
    problems += [*failed, *pods.judge(probed, cluster)] if cluster else []
    told = pods.notes(probed, cluster) if cluster else ["no cluster answered: pods and services were not asked for"]
    report = Report.of(TITLE, addresses, problems, told, str(log))
    return NetReport(tuple(ways(settings, found, probed, cluster or Cluster())), report, cluster is not None)


def _say(event: Event, say: Callable[[str], None]) -> None:
    if isinstance(event, Task):
        say(event.name)
