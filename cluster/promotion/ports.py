"""What a promotion needs of the outside world; the cluster, MLflow and HTTP fill it in, and tests with real servers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Literal, Protocol

from cluster.promotion.model import Period, Sample, Version
from cluster.promotion.plan import Capacity

Which = Literal["service", "candidate"]


class Serving(Protocol):
    """The model's service and, while a version is tried, a candidate beside it. Every call may be repeated.

    All raise PromotionError, with the reason in the message.
    """

    def capacity(self) -> Capacity:
        """Say what there is room for."""

    def deploy(self, version: Version) -> None:
        """Start a candidate of exactly this version, and wait until it is ready."""

    def reach(self, which: Which) -> AbstractContextManager[str]:
        """Give the base URL under which the service or the candidate is asked, for as long as it is needed."""

    def share(self, percent: int) -> None:
        """Send so many percent of the requests to the candidate."""

    def restart(self, version: Version) -> None:
        """Have the service load what the alias names, which is this version, and wait until it is ready.

        Raises PromotionError where its pods say that they loaded another.
        """

    def loaded(self) -> set[tuple[str, str]]:
        """Return number and digest of the versions that the service's pods say they have loaded."""

    def stop(self) -> None:
        """Have the service serve nothing, until it is restarted."""

    def remove(self) -> None:
        """End the candidate."""


class Registry(Protocol):
    """The registered model: its versions, its alias, its history. All raise PromotionError."""

    def find(self, number: str) -> Version:
        """Return a version."""

    def current(self) -> Version | None:
        """Return the version that the alias names, or None where it names none yet."""

    def verify(self, version: Version, say: Callable[[str], None]) -> list[str]:
        """Return what is wrong with a version's stored files, a sentence each."""

    def name(self, version: Version | None) -> None:
        """Let the alias name a version; None: none."""

    def record(
        self, version: Version | None, before: Version | None, at: str, by: str, *, taken_back: bool = False
    ) -> None:
        """Write down that one serves since then, and that the other did until then, and whether it was taken back."""

    def history(self) -> list[Period]:
        """Return who served when, the latest last."""


class Probe(Protocol):
    """Asks a model."""

    def knows(self, version: Version) -> bool:
        """Return whether it is known what to ask: a request was given, or the version's signature says it."""

    def learns(self, url: str) -> bool:
        """Find out from the model itself; return whether it says what its inputs are."""

    def alive(self, url: str) -> list[str]:
        """Return why a model is not ready, a sentence each."""

    def smoke(self, url: str) -> list[str]:
        """Ask once and return what is wrong with the answer, a sentence each."""

    def sample(self, url: str) -> Sample:
        """Ask once and measure."""
