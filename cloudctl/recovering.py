"""Taking up what a failed or killed run left, so that the next update goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from cloudctl import halfway, project, stuck, unstarted
from cloudctl.engine import Engine
from cloudctl.exits import CannotTellError, RefusedError
from cloudctl.halfway import Halfway
from cloudctl.unstarted import Unstarted
from cloudctl.virsh import Virsh
from cluster.leases import LeaseFile
from cluster.problems import InputError
from cluster.recovery import Recovery, plan_recovery, with_strays

Say = Callable[[str], None]

SHOWN = 5
"""How many resources are named that were looked up."""


@dataclass(frozen=True)
class Recovering:
    """A stack that is looked at and mended; ``live``: its hosts are real ones, with a libvirt to ask."""

    chosen: project.Stack
    engine: Engine
    live: bool = True
    virsh: Virsh = field(default_factory=Virsh)

    def refuse_stuck(self, say: Say) -> None:
        """Wait for VMs of ours that are being started. Raises RefusedError with the way out where that does not end."""
        if self.live:
            stuck.refuse(self.chosen.settings(), self.chosen.name, self.virsh, say)

    def halfway(self) -> list[Halfway]:
        """Return pools and networks of ours that were defined and never started."""
        return halfway.find(self.chosen.settings(), self.chosen.name, self.virsh) if self.live else []

    def unstarted(self) -> list[Unstarted]:
        """Return VMs of ours that were defined and could not start, and that the engine does not know."""
        if not self.live:
            return []
        export = self.engine.export(self.chosen.name)
        return unstarted.find(self.chosen.settings(), self.chosen.name, export, self.virsh)

    def plan(self, *, strays: bool) -> Recovery:
        """Return what to do about the engine's state; with ``strays`` also about what it may have forgotten."""
        export = self.engine.export(self.chosen.name)
        if strays:
            export = with_strays(export, self.engine.preview(self.chosen.name, self.chosen.file))
        return plan_recovery(export)

    def start(self, found: list[Halfway], say: Say) -> None:
        """Start pools and networks."""
        halfway.finish(found, self.virsh, say)

    def clear(self, found: list[Unstarted]) -> None:
        """Delete the definitions of VMs that could not start, and give their GPUs back."""
        file = LeaseFile(project.root() / self.chosen.settings().state)
        unstarted.clear(found, self.virsh, file, self.chosen.owner)

    def mend(self, plan: Recovery, *, quiet: bool = False) -> None:
        """Bring the engine's state to the truth. Raises RefusedError where the providers cannot be asked."""
        self.engine.import_state(self.chosen.name, json.dumps(plan.deployment), beside=self.chosen.file)
        if not plan.refresh:
            return
        words = ["refresh", "--yes", "--skip-preview", "--stack", self.chosen.name]
        words += ["--config-file", str(self.chosen.file), *(f"--target={urn}" for urn in plan.refresh)]
        said = self.engine.silent(words) if quiet else ("see above" if self.engine.attended(words) else None)
        if said is not None:
            raise RefusedError(f"the refresh failed, {said}; mend the cause and run cloudctl recover again")


def take_up(recovering: Recovering, say: Say) -> None:
    """Do all of it without a question, and say in one line what was found, if anything was.

    Nothing is lost by it: what was defined and never started is started or undefined, what the engine does not know or
    was in the middle of is looked up. Raises RefusedError where only the host's administrator can mend what was left.
    """
    with suppress(CannotTellError, InputError):
        recovering.refuse_stuck(say)
    done: list[str] = []
    # What cannot be done of one part keeps none of the others: the update asks the same hosts and says it better.
    with suppress(CannotTellError, InputError):
        recovering.engine.export(recovering.chosen.name)  # a stack that the backend does not have has left nothing
        for part in (_started, _cleared, _state):
            with suppress(CannotTellError, InputError):
                done += part(recovering)
    if done:
        say(f"an earlier run was cut off or failed; taken up: {'; '.join(done)}")


def _started(recovering: Recovering) -> list[str]:
    stopped = recovering.halfway()
    recovering.start(stopped, lambda _: None)
    return [f"{each}: started" for each in stopped]


def _cleared(recovering: Recovering) -> list[str]:
    dead = recovering.unstarted()
    recovering.clear(dead)
    return [f"{each}: undefined" for each in dead]


def _state(recovering: Recovering) -> list[str]:
    plan = recovering.plan(strays=False)
    if recovering.engine.failed(recovering.chosen.name):
        with suppress(CannotTellError):  # where the plan is refused, the update itself says why
            plan = recovering.plan(strays=True)
    if not plan.needed:
        return []
    recovering.mend(plan, quiet=True)
    if not plan.refresh:
        return [f"{len(plan.again)} commands run again"] if plan.again else []
    looked = ", ".join(urn.rsplit("::", 1)[-1] for urn in plan.refresh[:SHOWN])
    more = len(plan.refresh) - SHOWN
    return [f"looked up: {looked}" + (f" and {more} more" if more > 0 else "")]
