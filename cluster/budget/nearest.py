"""The nearest plan that fits: what to change in the settings so that the hosts can carry it.

In this order, and no further than needed: other GPU addresses, workers and then control planes made smaller, fewer
machines, the smallest cluster with a GPU worker, and last a plan on CPUs only. What is proposed has passed the verdict
and the checks of the settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain

from cluster.budget.changes import Change, changes
from cluster.budget.demand import VmDemand, demands_from
from cluster.budget.findings import Finding, refusals
from cluster.budget.fit_models import models_for
from cluster.budget.gpus import functions_of
from cluster.budget.limits import HostLimits, limits_from
from cluster.budget.plan import HostPlan
from cluster.budget.rungs import Rung, rungs
from cluster.budget.tidy import tidied
from cluster.budget.verdict import judge
from cluster.host.model import HostFacts
from cluster.settings.checks import check
from cluster.settings.draft import Draft
from cluster.settings.model import Settings

Also = Callable[[Settings], Sequence[Finding]]
"""What else is said of a plan, by those who know more than hosts: leases, what was seen of cards before."""


class NearestFit(list[Change]):
    """The changes that lead to a plan that fits; empty where the plan fits as it is.

    Where nothing fits, ``fits`` is False, ``reasons`` says why, and the one change in the list says so too.
    """

    def __init__(self, changes: Iterable[Change], settings: Settings, reasons: Iterable[str] = ()) -> None:
        super().__init__(changes)
        self.settings = settings
        self.reasons = list(reasons)

    @property
    def fits(self) -> bool:
        """Whether ``settings`` is a plan that the verdict passes."""
        return not self.reasons


def nearest_fit(
    settings: Settings,
    facts: Mapping[str, HostFacts],
    owner: str = "",
    limits: Mapping[str, HostLimits] | None = None,
    also: Also = lambda _: (),
) -> NearestFit:
    """Return the changes, few and small, that make a plan pass the verdict on these hosts; ``owner`` as for judge.

    ``limits`` left out: those that the settings alone say, without leases. A GPU for which ``also`` refuses a VM is
    taken for one that this plan cannot have.
    """
    limits = limits or limits_from(settings)
    ground = {host: HostPlan(facts[host], (), limits[host], owner, host) for host in facts if host in limits}

    def refused(plan: Settings) -> tuple[list[Finding], list[Finding]]:
        judged = refusals(judge(demands_from(plan), facts, limits, owner))
        return judged, [] if judged else refusals(also(plan))

    first = list(chain(*refused(settings)))
    if not first:
        return NearestFit([], settings)
    taken: dict[str, frozenset[str]] = {}
    todo = rungs(settings, ground, taken)
    while rung := next(todo, None):
        fitted = _plan(settings, rung, facts)
        if fitted is None:
            continue
        judged, said = refused(fitted)
        if not judged and not said:
            return NearestFit(changes(settings, fitted, rung.machines, first), fitted)
        for host, cards in _refused_cards(demands_from(fitted), said, facts).items():
            if cards - taken.get(host, frozenset()):
                taken[host] = cards | taken.get(host, frozenset())
                todo = rungs(settings, ground, taken)  # other cards are nearer than a smaller plan
    reasons = [str(finding) for finding in first]
    why = "nothing fits: " + " / ".join(reasons)
    return NearestFit([Change("machines", f"{len(settings.machines)} machines", None, why)], settings, reasons)


def _plan(settings: Settings, rung: Rung, facts: Mapping[str, HostFacts]) -> Settings | None:
    """Return the settings with the machines of a rung, and what has to follow from that; None where it cannot be."""
    machines = tuple(rung.machines[index] for index in sorted(rung.machines))
    if _roles(settings) != {machine.role == "control-plane" for machine in machines}:
        return None
    models = models_for(settings, machines, whole=rung.whole)
    if models is None:
        return None
    fitted = tidied(settings, settings.model_copy(update={"machines": machines, "models": models}), facts)
    return None if any(check(Draft.of(fitted))) else fitted


def _roles(settings: Settings) -> set[bool]:
    """Which of the two kinds a plan has: control planes (True), workers of any sort (False)."""
    return {machine.role == "control-plane" for machine in settings.machines}


def _refused_cards(
    demands: Sequence[VmDemand], said: Sequence[Finding], facts: Mapping[str, HostFacts]
) -> dict[str, frozenset[str]]:
    """Return by host the PCI functions of the VMs of which something was said."""
    named = {(finding.host, finding.vm) for finding in said}
    found: dict[str, frozenset[str]] = {}
    for demand in demands:
        if (demand.host, demand.name) in named:
            functions = {each for gpu in demand.gpus for each in functions_of(facts[demand.host], gpu)}
            found[demand.host] = found.get(demand.host, frozenset()) | functions
    return found
