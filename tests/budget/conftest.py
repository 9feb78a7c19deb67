"""What the budget's tests share: the production plan's sizes, and hosts to judge it on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.budget import Finding, HostLimits, VmDemand, demands_from, judge, limits_from
from cluster.host.model import HostFacts, load_facts
from cluster.settings.load import from_file
from cluster.settings.model import Settings

ROOT = Path(__file__).parents[2]
OWNER = "cloud/prod"


@pytest.fixture(scope="session")
def prod() -> Settings:
    return from_file(ROOT / "Pulumi.prod.yaml")


@pytest.fixture(scope="session")
def twin() -> Callable[[str], HostFacts]:
    """Return a lab twin by name; the first of the file where it holds several."""
    return lambda name: load_facts(ROOT / "lab" / "hosts" / f"{name}.yaml")[0]


@pytest.fixture(scope="session")
def demands(prod: Settings) -> list[VmDemand]:
    return demands_from(prod)


@pytest.fixture(scope="session")
def limits(prod: Settings) -> HostLimits:
    return limits_from(prod)["workstation"]


@pytest.fixture
def judged(demands: list[VmDemand], limits: HostLimits) -> Callable[..., list[Finding]]:
    """Return a function that judges a plan, prod's if none is given, on one host."""

    def judge_it(
        facts: HostFacts, plan: list[VmDemand] | None = None, owner: str = OWNER, host: HostLimits | None = None
    ) -> list[Finding]:
        planned = demands if plan is None else plan
        return judge(planned, {facts.name: facts}, {facts.name: host or limits}, owner)

    return judge_it
