"""Preflight: is every node, and every way between two of them, fit for Kubernetes? All problems in one report.

Ansible asks (``ansible/preflight.yml``), ``cluster.probe`` reads what was said, ``judge`` judges: three steps apart.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cluster.ansible import Outcome, Play, Task, play
from cluster.ansible.events import Event
from cluster.preflight.judge import judge, notes
from cluster.preflight.limits import Limits
from cluster.probe import ask, failures
from cluster.probe.alone import alone
from cluster.probe.model import nodes
from cluster.report import Report
from cluster.settings.model import Settings

__all__ = ["Limits", "check", "judge"]

TITLE = "preflight"


def check(
    inventory: Path,
    log: Path,
    settings: Settings,
    ansible: Path | None,
    *,
    limits: Limits | None = None,
    say: Callable[[str], None] = lambda _: None,
    run: Callable[[Play, Callable[[Event], None]], Outcome] = play,
) -> Report:
    """Ask every node and return the report.

    ``log``: what Ansible prints is appended to it; ``ansible``: the folder of ``ansible-playbook``, None: on PATH;
    ``limits``: left out, those of the settings; ``say``: hears of every task, from another thread.
    Raises OSError where Ansible cannot be started.
    """

    def watch(event: Event) -> None:
        if isinstance(event, Task):
            say(event.name)

    variables = {"look": ask.look(settings)}
    with alone(inventory, say):
        outcome = run(Play("preflight.yml", inventory, log, ansible=ansible, extra=variables), watch)
    names = [machine.name for machine in settings.machines]
    addresses = {machine.name: str(machine.address) for machine in settings.machines}
    told = nodes(outcome.told)
    failed = failures.problems(outcome.failures, settings.access.user, addresses, str(log))
    found = judge(settings, told, {problem.node for problem in failed}, limits or Limits.of(settings))
    return Report.of(TITLE, names, [*failed, *found], notes(told), str(log))
