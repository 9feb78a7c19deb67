"""The nearest plan that fits as changes of the stack file, as data; and what to stop where that is enough."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cloudctl.views import capacity
from cluster.budget import NearestFit, Stop, enough_to_stop, limits_from, nearest_fit
from cluster.host.model import HostFacts
from cluster.leases.claims import Claims
from cluster.settings.model import Settings
from cluster.settings.rewrite import Rewrite, rewritten

State = Literal["fits", "stop", "smaller", "nothing"]
"""fits: as it is; stop: once the HPC cluster's VMs are off; smaller: with these changes; nothing: no plan does."""


@dataclass(frozen=True)
class Fit:
    """How a plan is made to fit, and the files that would change; ``remarks``: what the next update does then."""

    state: State
    stops: Sequence[Stop] = ()
    nearest: NearestFit | None = None
    files: Sequence[Rewrite] = ()
    remarks: Sequence[str] = ()


def fit(
    settings: Settings,
    facts: Mapping[str, HostFacts],
    owner: str,
    stack_file: Path,
    claims: Claims,
    *,
    stack: str,
    keep_hpc: bool,
) -> Fit:
    """Return the nearest way to a plan that fits; ``keep_hpc``: the HPC cluster's VMs go on running.

    Raises InputError where the stack file is written in a way that no program can change.
    """
    limits = limits_from(settings, claims.leases)
    also = capacity.also(facts, limits, claims)
    stops = enough_to_stop(settings, facts, owner, limits, stack, also)
    if stops and not keep_hpc:
        return Fit("stop", stops)
    nearest = nearest_fit(settings, facts, owner, limits, also)
    if not nearest.fits:
        return Fit("nothing", stops, nearest)
    if not nearest:
        return Fit("fits", stops, nearest)
    files = rewritten(stack_file, [(each.path, each.after) for each in nearest], nearest.settings)
    return Fit("smaller", stops, nearest, files, list(_leaving(settings, nearest.settings, facts, owner)))


def report(found: Fit, folder: Path, *, written: bool) -> dict[str, Any]:
    """Return a fit as data; files are named relative to ``folder`` where they lie in it."""
    return {
        "state": found.state,
        "stop": [{"host": each.host, "vms": list(each.vms), "command": each.command} for each in found.stops],
        "changes": [capacity.change(each) for each in found.nearest or ()] if found.state == "smaller" else [],
        "reasons": list(found.nearest.reasons) if found.nearest else [],
        "remarks": list(found.remarks),
        "files": [
            {"file": str(each.path), "diff": each.diff(_name(each.path, folder)), "written": written}
            for each in found.files
        ],
    }


def _leaving(before: Settings, after: Settings, facts: Mapping[str, HostFacts], owner: str) -> Iterator[str]:
    """Yield a remark for each VM that stands and is in the smaller plan no more."""
    stay = {machine.name for machine in after.machines}
    for machine in before.machines:
        host = facts.get(before.host_of(machine).name)
        there = host and any((vm.name, vm.owner) == (machine.name, owner) for vm in host.domains)
        if machine.name in stay or not there:
            continue
        text = f"vm {machine.name} stands: the next update deletes it, with what is on its disk"
        if machine.role == "control-plane":
            text += "; etcd's quorum holds it back until kubernetes.expendable names it"
        yield text


def _name(path: Path, folder: Path) -> str:
    whole = path.resolve()
    return str(whole.relative_to(folder.resolve())) if whole.is_relative_to(folder.resolve()) else path.name
