"""Plays of a step: which playbook, in which folder, on which hosts; a failed one ends the step with its explanation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from cluster.ansible import Outcome, Play, play
from cluster.steps.context import Context
from cluster.steps.errors import StepError
from cluster.steps.failure import explain
from cluster.steps.fetch import Tools
from cluster.steps.progress import Progress

Run = Callable[[Play, Callable[..., None]], Outcome]


@dataclass(frozen=True)
class Plays:
    """Runs a step's plays one after the other, all into one log."""

    step: str
    context: Context
    tools: Tools
    log: Path
    run: Run = field(default=play)
    order: Path | None = None

    def led_by(self, names: Sequence[str]) -> Plays:
        """Return the same plays for Kubespray with the control planes in another order than the inventory's."""
        path = self.context.inventory.with_name("order.yaml")
        hosts = dict.fromkeys(names)
        groups = {"kube_control_plane": {"hosts": hosts}, "etcd": {"hosts": hosts}}
        path.write_text(yaml.safe_dump({"all": {"children": groups}}, sort_keys=False), encoding="utf-8")
        return replace(self, order=path)

    def ours(self, playbook: str, *, limit: str = "", **extra: Any) -> Outcome:
        """Run a playbook of ours. Raises StepError with what failed."""
        return self._run(
            Play(
                playbook=playbook,
                inventory=self.context.inventory,
                log=self.log,
                ansible=self.tools.ansible,
                limit=limit,
                extra=extra,
            )
        )

    def asked(self, playbook: str) -> Outcome:
        """Run a playbook of ours that asks every node and changes nothing; who cannot be reached is passed over.

        Raises StepError with anything else that failed, and where nobody could be reached.
        """
        outcome = self.look(Play(playbook, self.context.inventory, self.log, ansible=self.tools.ansible))
        if outcome.done or (outcome.told and all(each.unreachable for each in outcome.failures)):
            return outcome
        raise StepError(explain(outcome, self.context))

    def kubespray(self, playbook: str, *, limit: str = "", extra: Mapping[str, Any] | None = None) -> Outcome:
        """Run a playbook of Kubespray's, in whose folder its roles and its ansible.cfg lie. Raises StepError."""
        assert self.tools.kubespray is not None
        return self._run(
            Play(
                playbook=playbook,
                inventory=self.context.inventory,
                log=self.log,
                first=self.order,
                folder=self.tools.kubespray,
                ansible=self.tools.ansible,
                limit=limit,
                extra=extra or {},
                words=("--become",),
            )
        )

    def _run(self, what: Play) -> Outcome:
        outcome = self.look(what, Progress(self.step))
        if not outcome.done:
            raise StepError(explain(outcome, self.context))
        return outcome

    def look(self, what: Play, watch: Callable[..., None] = lambda _: None) -> Outcome:
        """Run a play whose end is somebody else's to judge; what is known to be secret is masked in what it says."""
        return self.run(replace(what, secrets=self.context.secrets), watch)
