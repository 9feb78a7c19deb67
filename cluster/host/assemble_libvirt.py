"""What libvirt has defined on a host, from the probe's sections: pools, VMs, networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

from cluster.host.model import Domain, NetworkFacts, PoolFacts
from cluster.host.parse_libvirt import State, parse_domain, parse_names, parse_pool, parse_volume_mib
from cluster.host.parse_network import parse_network
from cluster.host.parse_system import parse_blocks, parse_df
from cluster.host.sections import Sections, attempt
from cluster.types import mib

T = TypeVar("T")


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
    """Return libvirt's VMs; one that cannot be read makes the list unknown, one that went meanwhile does not."""
    running = set(parse_names(sections.read.get("active", "")))
    paused = set(parse_names(sections.read.get("paused", "")))
    autostart = set(parse_names(sections.read.get("autostart", "")))

    def parse(name: str, text: str) -> Domain:
        state: State = "paused" if name in paused else "running" if name in running else "shut-off"
        return parse_domain(text, state, name in autostart)

    return tuple(_listed(sections, "domains", "domain", "vm", parse, unknown))


def networks_of(sections: Sections, unknown: dict[str, str]) -> tuple[NetworkFacts, ...]:
    """Return libvirt's networks, as ``domains_of`` its VMs."""
    active = set(parse_names(sections.read.get("active-networks", "")))

    def parse(name: str, text: str) -> NetworkFacts:
        return parse_network(text, name in active)

    return tuple(_listed(sections, "networks", "network", "network", parse, unknown))


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
