"""Carries a promotion out, step by step; takes it back when a step fails; goes on with one that was cut off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cluster.journal import now
from cluster.promotion import gate as gates
from cluster.promotion.journal import Journal, JournalFile
from cluster.promotion.model import Gate, Kind, Mode, Outcome, PromotionError, Sample, UnsettledError, Version
from cluster.promotion.plan import TEXTS, Step, mode_for, rollback_steps, steps, target
from cluster.promotion.ports import Probe, Registry, Serving, Which

_TOUCHES_SERVICE = frozenset({"alias", "restart"})
"""Once one of these has begun, the service may run the new version."""


@dataclass
class Promotion:
    """One model's promotions. ``who`` is written into the history; ``again`` is the command that goes on.

    ``place`` is the registry's URL; ``doubt`` says why it may be another registry than the one that the cluster's pods
    ask ("": it is that one).
    """

    serving: Serving
    registry: Registry
    probe: Probe
    file: JournalFile
    who: str
    say: Callable[[str], None]
    again: str = "the same command"
    place: str = ""
    doubt: str = ""

    def promote(self, number: str, gate: Gate, wished: Mode | None = None) -> Outcome:
        """Bring a version into service, or go on with that. Raises PromotionError where it cannot even begin."""
        with self.file.lock():
            journal = self._open(number)
            if journal is None:
                journal = self._begin(number, gate, wished)
            elif journal.state == "open":
                self._askable(self.registry.find(number), running=True)
            return self._finish(journal)

    def rollback(self, number: str | None = None) -> Outcome:
        """Take an open promotion back; else go back to a version that served before, the last one where none is named.

        Raises PromotionError where that is not possible.
        """
        with self.file.lock():
            journal = self._left()
            _fits(journal, number)
            if journal is not None and journal.kind == "promote":
                journal = self._keep(journal, state="undoing", failed=journal.failed or "taken back by rollback")
                return self._undo(journal)
            if journal is None:
                journal = self._begin_rollback(number)
            return self._finish(journal)

    def planned(self, number: str, wished: Mode | None = None) -> tuple[Mode, tuple[Step, ...]]:
        """Return how a version would come into service and which steps are left; changes nothing."""
        journal = self._open(number)
        if journal is not None:
            return journal.mode, tuple(step for step in _steps(journal) if step not in journal.done)
        mode, gap = self._may_begin(self.registry.find(number), self.registry.current(), wished)
        return mode, steps(mode, gap)

    def _open(self, number: str) -> Journal | None:
        """Return the promotion of this version that was cut off, if there is one; refuse another version's."""
        journal = self._left()
        if journal is None:
            return None
        if journal.version != number or journal.kind != "promote":
            what = f"a {journal.kind.replace('promote', 'promotion')} to version {journal.version} is not through"
            raise PromotionError(f"{what}; go on with it, or take it back first: cloudctl models rollback")
        return journal

    def _left(self) -> Journal | None:
        """Return an operation that is not through; PromotionError where it began with another registry than this."""
        journal = self.file.load()
        if journal is None or journal.state == "closed":
            return None
        if journal.registry not in ("", self.place):
            what = f"a {journal.kind.replace('promote', 'promotion')} to version {journal.version} is not through"
            raise PromotionError(
                f"{what}; it began with MLflow at {journal.registry}, and this is {self.place}: go on with that one,"
                " which is what MLFLOW_TRACKING_URI says, or where that is not set, the stack"
            )
        return journal

    def _same_registry(self, before: Version | None) -> None:
        """Raise PromotionError where the alias in this registry may not be what the cluster's pods follow."""
        if not self.doubt:
            return
        loaded = self.serving.loaded()
        if before is None or loaded != {(before.number, before.digest)}:
            pods = ", ".join(sorted(f"version {number}" for number, _ in loaded)) or "no version"
            here = f"names {before}" if before else "names none"
            raise PromotionError(f"{self.doubt}; its alias {here}, and the service's pods have loaded {pods}")

    def _may_begin(self, version: Version, before: Version | None, wished: Mode | None) -> tuple[Mode, bool]:
        """Return how a version comes, and whether a restart leaves the service without a pod for a while.

        Raises PromotionError where it cannot come: nothing has changed yet.
        """
        self._same_registry(before)
        if before is not None and before.number == version.number:
            raise PromotionError(f"{version} serves already; who served when: cloudctl models history")
        capacity = self.serving.capacity()
        self._askable(version, running=capacity.running)
        return mode_for(capacity, wished), capacity.gap

    def _askable(self, version: Version, *, running: bool) -> None:
        """Raise PromotionError where nobody knows what to ask: found out now, not when the service was restarted."""
        if self.probe.knows(version):
            return
        if running:
            try:
                with self.serving.reach("service") as url:
                    if self.probe.learns(url):
                        return
            except PromotionError:
                pass
        raise PromotionError(
            f"neither a signature in MLflow nor a running service says what {version.model} takes; write a request"
            ' into a file, {"request": {"inputs": [...]}}, and give it with --smoke FILE'
        )

    def _begin(self, number: str, gate: Gate, wished: Mode | None) -> Journal:
        before = self.registry.current()
        mode, gap = self._may_begin(self.registry.find(number), before, wished)
        old = before.number if before else None
        return self._start("promote", mode, number, old, gate, gap)

    def _begin_rollback(self, number: str | None) -> Journal:
        self.serving.capacity()  # raises where nobody could restart the service
        current = self.registry.current()
        self._same_registry(current)
        back = target(self.registry.history(), current, number)
        old = current.number if current else None
        return self._start("rollback", "swap", back, old, Gate())

    def _start(self, kind: Kind, mode: Mode, version: str, before: str | None, gate: Gate, gap: bool = True) -> Journal:
        new = Journal(
            kind=kind,
            mode=mode,
            version=version,
            before=before,
            by=self.who,
            started=now(),
            gate=gate,
            registry=self.place,
            gap=gap,
        )
        return self._save(new)

    def _finish(self, journal: Journal) -> Outcome:
        if journal.state == "undoing":
            return self._undo(journal)
        for step in _steps(journal):
            if step in journal.done:
                continue
            journal = self._keep(journal, begun=(*journal.begun, step))
            self.say(f"{TEXTS[step]} ...")
            try:
                journal = self._do(step, journal)
            except PromotionError as error:
                self.say(f"failed: {error}")
                return self._undo(self._keep(journal, state="undoing", failed=f"{TEXTS[step]}: {error}"))
            journal = self._keep(journal, done=(*journal.done, step))
        journal = self._keep(journal, state="closed")
        return Outcome(True, journal.version, journal.before, journal.mode, kind=journal.kind)

    def _do(self, step: Step, journal: Journal) -> Journal:  # noqa: C901 one line for each step
        version = self.registry.find(journal.version)
        serving = self.serving
        if step == "verify":
            _none(self.registry.verify(version, self.say))
        elif step == "baseline":
            return self._baseline(journal)
        elif step == "deploy":
            serving.deploy(version)
        elif step in ("smoke", "confirm"):
            with serving.reach("candidate" if step == "smoke" else "service") as url:
                # a version that was in service: where nobody knows what to ask, that it is ready is enough
                known = journal.kind == "promote" or self.probe.knows(version) or self.probe.learns(url)
                _none(self.probe.smoke(url) if known else self.probe.alive(url))
        elif step in ("gate", "watch"):
            self._gate(journal)
        elif step in ("share", "all"):
            serving.share(journal.gate.share if step == "share" else 100)
        elif step == "alias":
            self.registry.name(version)
        elif step == "restart":
            serving.restart(version)
        elif step == "settle":
            serving.share(0)
            serving.remove()
        elif step == "record":
            back = journal.kind == "rollback"
            self.registry.record(version, self._before(journal), now(), journal.by, taken_back=back)
        return journal

    def _before(self, journal: Journal) -> Version | None:
        return self.registry.find(journal.before) if journal.before is not None else None

    def _baseline(self, journal: Journal) -> Journal:
        """Measure what runs before it goes; nothing runs yet, or it does not answer: nothing to be compared with."""
        if journal.before is None:
            return journal
        try:
            found = self._samples(["service"], journal.gate.samples)["service"]
        except PromotionError as error:
            self.say(f"the running version cannot be measured: {error}")
            return journal
        return self._keep(journal, running_ms=tuple(sample.ms for sample in found if sample.ok))

    def _gate(self, journal: Journal) -> None:
        count = journal.gate.samples
        if journal.mode == "share":
            found = self._samples(["service", "candidate"], count)
            verdict = gates.judge(journal.gate, found["candidate"], found["service"])
        else:
            before = [Sample(ms, True) for ms in journal.running_ms]
            verdict = gates.judge(journal.gate, self._samples(["service"], count)["service"], before)
        self.say(str(verdict))
        _none(verdict.reasons)

    def _samples(self, which: Sequence[Which], count: int) -> dict[Which, list[Sample]]:
        """Ask in turns, so that a busy moment of the network meets both versions; the first answers warm up."""
        found: dict[Which, list[Sample]] = {each: [] for each in which}
        reached = [(each, self.serving.reach(each)) for each in which]
        urls: dict[Which, str] = {}
        try:
            for each, context in reached:
                urls[each] = context.__enter__()
                for _ in range(3):
                    self.probe.sample(urls[each])
            for _ in range(count):
                for each, url in urls.items():
                    found[each].append(self.probe.sample(url))
        finally:
            for each, context in reached:
                if each in urls:
                    context.__exit__(None, None, None)
        return found

    def _undo(self, journal: Journal) -> Outcome:
        """Put back what stood before. While the service itself comes back, a candidate that passed the gate answers.

        Raises UnsettledError where even that fails: the journal stays open, and the same command tries again.
        """
        self.say(f"going back to {f'version {journal.before}' if journal.before else 'no version'} ...")
        outcome = Outcome(False, journal.version, journal.before, journal.mode, journal.failed, journal.kind)
        try:
            before = self._before(journal)
            if not _TOUCHES_SERVICE & set(journal.begun):
                self._leave()
            else:
                self.registry.name(before)
                if before is not None:
                    self.serving.restart(before)
                else:  # a service goes on with the pods that it has, whatever the alias names
                    self.serving.stop()
                self._leave()
                if "record" in journal.begun and before is not None:
                    self._unrecord(journal, before)
        except PromotionError as error:
            text = (
                f"version {journal.version} was given up ({journal.failed}), and version {journal.before} could not be"
                f" brought back: {error}; mend that, then go on with: {self.again}"
            )
            raise UnsettledError(text, replace(outcome, settled=False)) from None
        self._keep(journal, state="closed")
        return outcome

    def _unrecord(self, journal: Journal, before: Version) -> None:
        """Write down that the version before serves again, and if the other one was written down, until when."""
        serves = [each.version for each in self.registry.history() if each.since and not each.until]
        left = self.registry.find(journal.version) if journal.version in serves else None
        self.registry.record(before, left, now(), journal.by, taken_back=journal.kind == "promote")

    def _leave(self) -> None:
        self.serving.share(0)
        self.serving.remove()

    def _keep(self, journal: Journal, **changes: object) -> Journal:
        return self._save(journal.model_copy(update=changes))

    def _save(self, journal: Journal) -> Journal:
        self.file.save(journal)
        return journal


def _fits(journal: Journal | None, number: str | None) -> None:
    """Raise PromotionError where a version is named while another one is on its way."""
    if journal is None or number is None:
        return
    goes_to = journal.before if journal.kind == "promote" else journal.version
    if number != goes_to:
        what = f"a {journal.kind.replace('promote', 'promotion')} to version {journal.version} is not through"
        back = f", and goes back to version {goes_to or 'none'}" if journal.kind == "promote" else ""
        raise PromotionError(f"{what}{back}; end that first: cloudctl models rollback without a version")


def _steps(journal: Journal) -> tuple[Step, ...]:
    return steps(journal.mode, journal.gap) if journal.kind == "promote" else rollback_steps()


def _none(problems: Sequence[str]) -> None:
    """Raise PromotionError where there are problems."""
    if problems:
        raise PromotionError("; ".join(problems))
