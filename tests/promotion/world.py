"""A stand-in for cluster, registry and clients: in memory, fails and dies where it is told to, keeps to their laws."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from cluster.promotion.journal import JournalFile
from cluster.promotion.model import Period, PromotionError, Sample, Version
from cluster.promotion.plan import Capacity
from cluster.promotion.ports import Which
from cluster.promotion.run import Promotion


class KilledError(BaseException):
    """The process is gone: nothing of it may clean up."""


@dataclass
class World:
    """Everything that outlives a killed promotion.

    ``bad``: version -> what is wrong with it (corrupt, start, wrong, slow). ``kill_at``: number of the call at which
    the process dies, before or after its effect. ``broken``: calls that fail, by name.
    """

    alias: str | None = "1"
    running: str | None = "1"
    candidate: str | None = None
    weight: int = 0
    capacity_: Capacity = field(default_factory=lambda: Capacity(0, None, True))
    bad: dict[str, str] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    kill_at: int | None = None
    kill_after: bool = False
    calls: list[str] = field(default_factory=list)
    periods: list[Period] = field(default_factory=list)
    taken_back: set[str] = field(default_factory=set)
    silent: bool = False
    """Whether nothing says what the model takes, as with scikit-learn under MLServer; and no request is given."""
    elsewhere: str | None = None
    """Where the cluster's pods ask another MLflow than this process: the version that its alias names."""
    asked: list[str] = field(default_factory=list)

    def call(self, name: str, effect: Callable[[], None] = lambda: None) -> None:
        """Do something to the world, unless it fails or the process dies before; or dies after."""
        mine = len(self.calls)
        self.calls.append(name)
        if self.kill_at == mine and not self.kill_after:
            raise KilledError
        if name in self.broken:
            raise PromotionError(f"{name} does not work")
        effect()
        if self.kill_at == mine:
            raise KilledError

    # the cluster

    def capacity(self) -> Capacity:
        return self.capacity_

    def deploy(self, version: Version) -> None:
        self.call("deploy", lambda: setattr(self, "candidate", version.number))
        self._starts(version.number)

    def restart(self, version: Version) -> None:
        if self.candidate is not None and self.capacity_.gap:
            assert self.weight in (0, 100), "requests to a service that has no pod"
        self.call("restart", lambda: setattr(self, "running", self.elsewhere or self.alias))
        assert self.alias == version.number, "restarted before the alias named it"
        if self.running != version.number:
            raise PromotionError(f"the pods loaded version {self.running}, not {version}")
        self._starts(version.number)

    def stop(self) -> None:
        self.call("stop", lambda: setattr(self, "running", None))

    def loaded(self) -> set[tuple[str, str]]:
        return {(self.running, self.find(self.running).digest)} if self.running else set()

    def share(self, percent: int) -> None:
        if percent:
            assert self.candidate is not None, "requests to nobody"
        assert percent < 100 or self.capacity_.replicas == 1, "all requests to one pod, which many have answered"
        self.call("share", lambda: setattr(self, "weight", percent))

    def remove(self) -> None:
        assert self.weight == 0, "removed while it gets requests"
        self.call("remove", lambda: setattr(self, "candidate", None))

    @contextmanager
    def reach(self, which: Which) -> Iterator[str]:
        yield str(self.running if which == "service" else self.candidate)

    def _starts(self, number: str) -> None:
        if self.bad.get(number) == "start":
            raise PromotionError(f"version {number} does not get ready")

    # the registry

    @property
    def place(self) -> str:
        return "https://mlflow.models.internal:30443"

    def find(self, number: str) -> Version:
        if number not in {"1", "2", "3"}:
            raise PromotionError(f"version {number} is not in MLflow")
        return Version("m", number, f"s3://models/m/{number}", number * 64)

    def current(self) -> Version | None:
        return self.find(self.alias) if self.alias else None

    def verify(self, version: Version, say: Callable[[str], None]) -> list[str]:
        self.call("verify")
        return ["weights differ"] if self.bad.get(version.number) == "corrupt" else []

    def name(self, version: Version | None) -> None:
        self.call("name", lambda: setattr(self, "alias", version.number if version else None))

    def record(
        self, version: Version | None, before: Version | None, at: str, by: str, *, taken_back: bool = False
    ) -> None:
        def effect() -> None:
            moment = f"{len(self.calls):06}"  # later than all before
            if before is not None:
                mine = self._open(before.number) or Period(before.number, "", "", "", False)
                self.periods = [each for each in self.periods if each is not mine] + [replace(mine, until=moment)]
                self.taken_back |= {before.number} if taken_back else set()
            if version is not None and self._open(version.number) is None:
                self.periods.append(Period(version.number, moment, "", by, False))
                self.taken_back.discard(version.number)

        self.call("record", effect)

    def _open(self, number: str) -> Period | None:
        return next((each for each in self.periods if each.version == number and not each.until), None)

    def history(self) -> list[Period]:
        found = [replace(each, taken_back=each.version in self.taken_back) for each in self.periods]
        return sorted(found, key=lambda each: (each.since, each.until or "9"))

    @property
    def served(self) -> list[str]:
        """Versions in the order in which they served; the last one with a + where it still does."""
        return [each.version + ("" if each.until else "+") for each in self.history()]

    # the clients

    def knows(self, version: Version) -> bool:
        return not self.silent

    def learns(self, url: str) -> bool:
        return not self.silent

    def alive(self, url: str) -> list[str]:
        self.call("alive")
        return ["it is not ready"] if url == "None" else []

    def smoke(self, url: str) -> list[str]:
        self.call("smoke")
        if self.silent:
            raise PromotionError("the model does not say what its inputs are")
        self.asked.append(url)
        return ["a wrong answer"] if self.bad.get(url) == "wrong" else []

    def sample(self, url: str) -> Sample:
        if url == "None":
            return Sample(0, False)
        return Sample(100.0 if self.bad.get(url) == "slow" else 10.0, True)

    def promotion(self, path: Path, doubt: str = "", place: str = "http://mlflow") -> Promotion:
        """Return a new process' promotion in this world."""
        journal = JournalFile(path / "m.json")
        return Promotion(self, self, self, journal, "me", lambda text: None, place=place, doubt=doubt)

    def at_rest(self) -> None:
        """Hold what must be true whenever nothing is under way."""
        assert self.alias == self.running, "the next restart would serve another version than runs"
        assert (self.candidate, self.weight) == (None, 0)
