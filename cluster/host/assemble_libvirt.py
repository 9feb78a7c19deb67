"""What libvirt has defined on a host, from the probe's sections: pools, VMs, networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar

from cluster.host.model import Domain, NetworkFacts, PoolFacts
from cluster.host.parse_libvirt import State, parse_domain, parse_names, parse_pool, parse_volume_mib
from cluster.host.parse_network import parse_network
from cluster.host.parse_system import parse_blocks, parse_df
from cluster.host.sections import Sections, attempt
from cluster.types import mib

T = TypeVar("T")

_WORDS = {
    "active": "running",
    "paused": "paused",
    "autostart": "started with the host",
    "active-networks": "active",
}
"""What a list of names says of those that are in it."""


def pools_of(sections: Sections, own: str, unknown: dict[str, str]) -> tuple[PoolFacts, ...]:
    """Return libvirt's pools, and for each path that was asked for the file system on which it lies."""
    used = sum(size for _, text in sections.named("volume") if isinstance(size := attempt(_volume(text)), int))
    active = set(parse_names(sections.read["active-pools"])) if "active-pools" in sections.read else None
    found: list[PoolFacts] = []
    for name, text in sections.named("pool"):
        device = parse_blocks(sections.read.get(f"blocks {name}", ""))
        on = None if active is None else name in active
        space = parse_df(sections.read.get(f"df {name}", ""))
        taken = space.used_mib if space else None
        parsed = attempt(partial(parse_pool, text, device, used if name == own else 0, on, taken))
        if isinstance(parsed, str):
            unknown[f"pools.{name}"] = parsed
        else:
            found.append(parsed)
            if parsed.capacity is None:
                unknown[f"pools.{name}"] = f"the pool is not active; start it with: virsh pool-start {name}"
    for name, why in sections.failed.items():
        if name.startswith("pool ") and not _is_gone(why):
            unknown[f"pools.{name.removeprefix('pool ')}"] = why
    found += _file_systems(sections, found)
    if not found and not any(key.startswith("pools.") for key in unknown):
        unknown["pools"] = sections.why_not("pools")
    return tuple(found)


def domains_of(sections: Sections, unknown: dict[str, str]) -> tuple[Domain, ...]:
    """Return libvirt's VMs; one that cannot be read makes the list unknown, one that went meanwhile does not.

    So does a list of those that run, are paused or start with the host, where it could not be read: a VM whose state is
    not known counts as running, never as one that is off and keeps no GPU.
    """
    told = {part: _names(sections, part) for part in ("active", "paused", "autostart")}
    running, paused, autostart = told.values()
    inactive = dict(sections.named("inactive"))

    def parse(name: str, text: str) -> Domain:
        on: State = "running" if running is None or name in running else "shut-off"
        state: State = "paused" if paused and name in paused else on
        return parse_domain(text, state, autostart is None or name in autostart, inactive.get(name))

    found = tuple(_listed(sections, "domains", "domain", "vm", parse, unknown))
    for name in sorted((running or set()) - inactive.keys()):
        why = sections.why_not(f"inactive {name}")
        if not _is_gone(why):
            unknown.setdefault("domains", f"vm {name}, as its next start will have it: {why}")
    _untold(sections, "domains", found, told, unknown)
    return found


def networks_of(sections: Sections, unknown: dict[str, str]) -> tuple[NetworkFacts, ...]:
    """Return libvirt's networks, as ``domains_of`` its VMs."""
    active = _names(sections, "active-networks")

    def parse(name: str, text: str) -> NetworkFacts:
        return parse_network(text, active is None or name in active)

    found = tuple(_listed(sections, "networks", "network", "network", parse, unknown))
    _untold(sections, "networks", found, {"active-networks": active}, unknown)
    return found


def _names(sections: Sections, part: str) -> set[str] | None:
    return set(parse_names(sections.read[part])) if part in sections.read else None


def _untold(
    sections: Sections,
    several: str,
    found: Sequence[object],
    told: Mapping[str, set[str] | None],
    unknown: dict[str, str],
) -> None:
    """Make a list unknown where there is something in it whose state could not be read."""
    missing = next((part for part, names in told.items() if names is None), None)
    if found and missing:
        unknown.setdefault(several, f"which are {_WORDS[missing]} could not be read: {sections.why_not(missing)}")


def _listed(
    sections: Sections, several: str, one: str, word: str, parse: Callable[[str, str], T], unknown: dict[str, str]
) -> Iterator[T]:
    if several not in sections.read:
        unknown[several] = sections.why_not(several)
        return
    texts = dict(sections.named(one))
    for name in parse_names(sections.read[several]):
        if name not in texts:
            why = sections.why_not(f"{one} {name}")
            if not _is_gone(why):
                unknown[several] = f"{word} {name}: {why}"
            continue
        parsed = attempt(partial(parse, name, texts[name]))
        if isinstance(parsed, str):
            unknown[several] = f"{word} {name}: {parsed}"
        else:
            yield parsed


def _is_gone(why: str) -> bool:
    """Whether something went between being listed and being read."""
    return "failed to get " in why


def _volume(text: str) -> Callable[[], int]:
    return partial(parse_volume_mib, text)


def _file_systems(sections: Sections, pools: list[PoolFacts]) -> Iterator[PoolFacts]:
    for name, text in sections.named("df"):
        space = parse_df(text)
        if space and name.startswith("path:") and all(pool.name != space.mount for pool in pools):
            device = parse_blocks(sections.read.get(f"blocks {name}", ""))
            allocated = mib(f"{space.used_mib}MiB") if space.used_mib else 0
            capacity = mib(f"{space.capacity_mib}MiB") if space.capacity_mib else None
            yield PoolFacts(name=space.mount, path=space.mount, capacity=capacity, allocated=allocated, device=device)
