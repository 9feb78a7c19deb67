"""A flip at work: what every step reads and writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from cluster.flip.commands import text
from cluster.flip.journal import Done, Journal, JournalFile
from cluster.flip.model import Cluster, FlipError, Scene, Vm
from cluster.flip.plan import Planner, Step
from cluster.flip.world import Outcome, World

POLL_S = 1.0
COMMAND_S = 60.0
"""How long a command may take that only has to say something to libvirt or to the API."""


class Work:
    """A flip at work: the world, the journal, and the scene as it was planned on."""

    def __init__(
        self,
        world: World,
        planner: Planner,
        file: JournalFile,
        journal: Journal,
        scene: Scene,
        say: Callable[[str], None],
    ) -> None:
        self.world = world
        self.planner = planner
        self.patience = planner.patience
        self.file = file
        self.journal = journal
        self.scene = scene
        self.say = say
        self.cut_off = False

    def vm(self, step: Step) -> Vm:
        """Return the VM that a step is about."""
        return next(vm for vm in self.scene.vms if vm.key == step.subject)

    def save(self, **changes: Any) -> None:
        """Write the journal with some changes."""
        self.journal = self.journal.model_copy(update=changes)
        self.file.save(self.journal)

    def note(self, **changes: Any) -> None:
        """Write down what is to be put back, before it is changed."""
        self.save(restore=self.journal.restore.model_copy(update=changes))

    def begin(self, step: Step) -> None:
        """Write down that a step begins; ``cut_off`` says whether an earlier run was cut off in it."""
        self.cut_off = step.id in self.journal.begun
        self.save(begun=(*without(self.journal.begun, step.id), step.id), failed=None)

    def end(self, done: Done) -> None:
        """Write down that a step is through."""
        earlier = tuple(each for each in self.journal.done if each.step != done.step)
        self.save(begun=without(self.journal.begun, done.step), done=(*earlier, done))

    def give_up(self, step: Step, reason: str) -> None:
        """Write down why a step could not be finished."""
        self.save(begun=without(self.journal.begun, step.id), failed=f"{step.text}: {reason}")

    def close(self, journal: Journal) -> None:
        """Write the journal of a flip that is through."""
        self.journal = journal
        self.file.save(journal)

    def wait(self, seconds: float, is_so: Callable[[], bool]) -> bool:
        """Ask again and again until something is so, or for so long; return whether it is."""
        end = self.world.time() + seconds
        while not is_so():
            if self.world.time() >= end:
                return False
            self.world.sleep(POLL_S)
        return True

    def run(self, step: Step, seconds: float = COMMAND_S) -> Outcome:
        """Run a step's command."""
        return self.world.run(step.commands[0], seconds)

    def must(self, step: Step, remedy: str, seconds: float = COMMAND_S) -> None:
        """Run a step's command; raises FlipError with the remedy where it fails."""
        outcome = self.run(step, seconds)
        if not outcome.ok:
            raise FlipError(f"{text(step.commands)[0]} failed: {outcome.said}; {remedy}")

    def cluster(self) -> Cluster:
        """Return what the API says now. Raises FlipError where it does not answer: silence is not an empty cluster."""
        cluster = self.world.cluster()
        if cluster.silent:
            raise FlipError(f"the cluster cannot be looked at: {cluster.silent}; mend that")
        return cluster


def without(values: Iterable[str], value: str) -> tuple[str, ...]:
    """Return values without one of them."""
    return tuple(each for each in values if each != value)
