"""Supply: what a planned ``cloud:foundation:Host`` says of its machine, and which host a VM or volume is on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from cluster.budget import HostLimits, VmDemand, demand_from_props, facts_from_props, limits_from_props
from cluster.host.model import HostFacts
from policies.model import UNKNOWN, Plan, Resource, leaves, reveal

HOST = "cloud:foundation:Host"
MACHINE = "cloud:kubernetes:Machine"
_NEEDED = ("name", "uri", "facts", "limits", "owner", "plan")


class UnreadableError(Exception):
    """A planned resource that does not say what a verdict needs; the message says what and why it matters."""


class HostUnreadableError(UnreadableError):
    """A VM's or volume's host may be one that was itself refused as unreadable: nothing more to say."""


@dataclass(frozen=True)
class Supply:
    """A host as planned: its facts, thresholds, this stack's name as owner, and the VMs announced for it, by name."""

    resource: Resource
    name: str
    uri: str
    facts: HostFacts
    limits: HostLimits
    owner: str
    announced: Mapping[str, VmDemand]
    demands: Sequence[VmDemand]


@lru_cache(maxsize=256)
def supply_of(resource: Resource) -> Supply:
    """Return what a Host component offers. Raises UnreadableError where a value is missing, unknown or malformed."""
    props: Any = reveal(resource.props)
    missing = [key for key in _NEEDED if key not in props]
    if missing:
        raise UnreadableError(
            f"host {resource.name} does not say its {', '.join(missing)}; pass them as props of {HOST}"
        )
    unknown = [leaf.path for leaf in leaves({key: props[key] for key in _NEEDED}) if leaf.value is UNKNOWN]
    if unknown:
        raise UnreadableError(
            f"host {resource.name}: {', '.join(unknown)} is not known before the update, so nobody can tell whether"
            " the plan fits; pass plain values, not outputs"
        )
    try:
        facts = facts_from_props(props["facts"])
        limits = limits_from_props(props["limits"])
        demands = tuple(demand_from_props(each) for each in props["plan"])
    except (ValidationError, ValueError, TypeError, KeyError) as error:
        kind = type(error).__name__
        raise UnreadableError(
            f"host {resource.name}: facts, limits or plan cannot be read ({kind}); see: cloudctl host schema"
        ) from None
    announced = {demand.name: demand for demand in demands}
    return Supply(
        resource, str(props["name"]), str(props["uri"]), facts, limits, str(props["owner"]), announced, demands
    )


def supplies(plan: Plan) -> list[Supply]:
    """Return every host that can be read; one that cannot was refused when it was registered."""
    found = []
    for resource in plan.of(HOST):
        try:
            found.append(supply_of(resource))
        except UnreadableError:
            continue
    return found


def host_of(resource: Resource, plan: Plan) -> Supply:
    """Return the host of a VM or volume: by its provider's URI, and by its Machine where several hosts share one.

    Raises UnreadableError where no planned host fits, HostUnreadableError where that may be for a host already refused.
    """
    known = supplies(plan)
    uri = reveal((resource.provider or {}).get("uri"))
    named = machine_of(resource, plan).get("host")
    by_uri = [supply for supply in known if supply.uri == uri]
    fitting = by_uri if len(by_uri) == 1 else [supply for supply in by_uri or known if supply.name == named]
    if len(fitting) != 1 and len(known) < len(plan.of(HOST)):
        raise HostUnreadableError(resource.name)
    if len(fitting) != 1:
        hosts = ", ".join(f"{supply.name} at {supply.uri}" for supply in known) or "none"
        where = f"provider {uri}" if isinstance(uri, str) else "a provider whose uri is not known"
        raise UnreadableError(
            f"{resource.name}: no host of the plan answers to {where}"
            f" (hosts: {hosts}), so nobody can tell whether it has room;"
            f" register {HOST} first, and with --target name it as well"
        )
    return fitting[0]


def machine_of(resource: Resource, plan: Plan) -> Mapping[str, object]:
    """Return the props of the Machine component that a VM or volume belongs to; empty where it belongs to none."""
    parent = plan.get(resource.parent)
    return parent.props if parent and parent.type == MACHINE else {}
