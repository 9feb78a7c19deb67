"""Carries a flip out: step after step, each written down before it begins and after it is through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cluster.flip.devices import identities
from cluster.flip.journal import Done, Journal, JournalFile, begun
from cluster.flip.mode import missing
from cluster.flip.model import TAKER, FlipError, Scene, Target
from cluster.flip.plan import Plan, Planner, Step, at_work
from cluster.flip.steps import HANDLERS
from cluster.flip.work import Work
from cluster.flip.world import World
from cluster.journal import now

Say = Callable[[str], None]


@dataclass(frozen=True)
class Flip:
    """A flip of one stack; ``again`` is what to type to go on after an error."""

    world: World
    planner: Planner
    file: JournalFile
    again: str
    say: Say = field(default=lambda _: None)

    def go(self, target: Target, scene: Scene | None = None) -> Journal:
        """Bring a target about and return the closed journal; ``scene`` is how it looks now, if that is known.

        Raises FlipError where a step cannot be finished. What was done stays done then: the same command goes on from
        there, the other one goes back.
        """
        scene = scene or self.world.look()
        before = self.file.load()
        self.planner.plan(scene, target, before)  # what is forbidden is so before a journal is opened
        journal = begun(before, target)
        fresh = identities(scene.views, scene.cards, journal.cards)
        cards = {**fresh, **journal.cards} if journal is before else {**journal.cards, **fresh}
        work = Work(self.world, self.planner, self.file, journal.model_copy(update={"cards": cards}), scene, self.say)
        work.save()
        # From now on no update of this stack begins. One that looked before we wrote has its leases by now.
        if updates := self.world.updates():
            self.file.restore(before)
            raise FlipError("\n  ".join(at_work(each) for each in updates) + "\nnothing was touched")
        while self._carry_out(work, self.planner.plan(work.scene, target, work.journal)):
            work.scene = self.world.look()
        self._finish(work, target)
        return work.journal

    def _carry_out(self, work: Work, plan: Plan) -> bool:
        """Do the steps of a plan in order; True where they have to be planned anew."""
        for number, step in enumerate(plan.steps, 1):
            self.say(f"[{number}/{len(plan.steps)}] {step.text}")
            self._do(work, step)
            if step.kind == "settle":
                return True
        return False

    def _do(self, work: Work, step: Step) -> None:
        started = self.world.time()
        work.begin(step)
        try:
            remark = HANDLERS[step.kind](work, step) or ""
        except FlipError as error:
            work.give_up(step, str(error))
            raise FlipError(f"{error}\nwhat came before is done and stays; go on with: {self.again}") from None
        seconds = round(self.world.time() - started, 1)
        work.end(Done(step=step.id, at=now(), seconds=seconds, remark=remark))
        self.say(f"      {seconds:g} s" + (f"; {remark}" if remark else ""))

    def _finish(self, work: Work, target: Target) -> None:
        """Close the journal, if everything is where it should be now."""
        scene = self.world.look()
        wrong = [f"GPU {card.key}: {why}" for card in scene.cards if (why := missing(scene, card, target))]
        if wrong:
            raise FlipError(f"every step was done, and yet {'; '.join(wrong)}\nlook again with: {self.again}")
        work.close(_left(work.journal, scene, target))


def _left(journal: Journal, scene: Scene, target: Target) -> Journal:
    """Return the journal without what its side has got back."""
    restore = journal.restore
    mine = {vm.key for vm in scene.of(TAKER[target])}
    autostart = tuple(key for key in restore.autostart if key not in mine)
    if target == "serve":
        restore = restore.model_copy(update={"autostart": autostart, "cordoned": (), "stopped": {}})
    else:
        restore = restore.model_copy(update={"autostart": autostart, "resume": ()})
    return journal.model_copy(update={"open": False, "begun": (), "failed": None, "asked": (), "restore": restore})
