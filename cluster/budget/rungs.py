"""Smaller plans, one after the other: as large as it can be, then the smallest cluster, then one on CPUs only.

Each host is mended by itself; no VM moves to another. Whether a plan passes is not judged here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cluster.budget.cards import renamed, with_cards, without_cards
from cluster.budget.fit_models import Floors, floors_for
from cluster.budget.plan import HostPlan
from cluster.budget.shrink import Room, fewest, least_of, room_for, scaled
from cluster.settings.model import Machine, Settings

Machines = dict[int, Machine]
"""Machines by their index in the settings."""


@dataclass(frozen=True)
class Site:
    """A host that carries VMs: its room, our VMs that stand there, and the machines of the plan.

    ``machines`` have cards that they may have, those for which there is none left out; ``bare`` are all of them
    without cards.
    """

    room: Room
    standing: frozenset[str]
    machines: Machines
    bare: Machines


@dataclass(frozen=True)
class Rung:
    """A smaller plan; ``whole``: its workers are large enough for every model that there are GPUs for."""

    machines: Machines
    whole: bool


def rungs(settings: Settings, plans: Mapping[str, HostPlan], taken: Mapping[str, frozenset[str]]) -> Iterator[Rung]:
    """Yield smaller plans, the nearest first; ``taken`` are cards by host that this plan cannot have."""
    sites = _sites(settings, plans, taken)
    for whole in (True, False):
        for machines in (_smaller(settings, sites, whole), *_smallest(settings, sites, whole)):
            if machines:
                yield Rung(machines, whole)


def _sites(settings: Settings, plans: Mapping[str, HostPlan], taken: Mapping[str, frozenset[str]]) -> list[Site]:
    planned: dict[str, Machines] = {}
    for index, machine in enumerate(settings.machines):
        planned.setdefault(settings.host_of(machine).name, {})[index] = machine
    names = {machine.name for machine in settings.machines}
    found = []
    for host, here in planned.items():
        plan = plans.get(host)
        room = room_for(plan) if plan else None
        if plan is None or room is None:
            continue  # the host is at fault: it carries nothing
        machines = renamed(plan, here, names)
        standing = frozenset(each.name for each in plan.facts.domains if each.owner == plan.owner)
        cards = with_cards(plan, machines, taken.get(host, frozenset()))
        bare = {index: without_cards(machine) for index, machine in machines.items()}
        found.append(Site(room, standing, cards, bare))
    return found


def _smaller(settings: Settings, sites: list[Site], whole: bool) -> Machines:
    """Return as many machines as fit, each as large as it can be."""
    every = [machine for site in sites for machine in site.machines.values()]
    floors = floors_for(settings, every) if whole else {}
    kept = [fewest(site.machines, site.room, least_of(site.machines, floors, site.standing)) for site in sites]
    control = sorted(index for site in sites for index, each in site.machines.items() if each.role == "control-plane")
    control = [index for index in control if any(index in indexes for indexes in kept)]
    if control and len(control) % 2 == 0:
        for indexes in kept:
            indexes.discard(control[-1])  # of an even number two stop when one does
    return _sized(list(zip(sites, kept, strict=True)), floors, cpu=False)


def _smallest(settings: Settings, sites: list[Site], whole: bool) -> Iterator[Machines]:
    """Yield clusters of a control plane and a worker: with GPUs, then without."""
    for cpu in (False, True):
        for with_control in sites:
            control = _first(with_control.bare, "control-plane")
            for with_worker in sites:
                worker = (
                    _first(with_worker.machines, "gpu-worker") if not cpu else _plainest(settings, with_worker.bare)
                )
                if control is None or worker is None:
                    continue
                chosen = [
                    (site, {i for i, owner in ((control, with_control), (worker, with_worker)) if owner is site})
                    for site in sites
                ]
                named = (with_worker.bare if cpu else with_worker.machines)[worker]
                floors = floors_for(settings, [named]) if whole else {}
                machines = _sized(chosen, floors, cpu=cpu)
                if len(machines) == 2:
                    yield machines


def _sized(chosen: list[tuple[Site, set[int]]], floors: Floors, *, cpu: bool) -> Machines:
    """Return the chosen machines, as large as they can be; those of a site where they do not fit are left out."""
    found: Machines = {}
    for site, indexes in chosen:
        every = site.bare if cpu else site.machines
        machines = {index: each for index, each in every.items() if index in indexes}
        least = least_of(machines, floors, site.standing)
        if machines and fewest(machines, site.room, least) == set(machines):
            found |= scaled(machines, site.room, least)
    return found


def _first(machines: Machines, role: str) -> int | None:
    return min((index for index, machine in machines.items() if machine.role == role), default=None)


def _plainest(settings: Settings, bare: Machines) -> int | None:
    """Return a worker, one that was planned without GPUs before one that was not."""
    workers = [index for index, machine in bare.items() if machine.role != "control-plane"]
    return min(workers, key=lambda index: (settings.machines[index].role != "worker", index), default=None)
