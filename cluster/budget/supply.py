"""Host facts as props of the Host component, as policies get them: equal from run to run while the offer is equal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cluster.budget.demand import VmDemand
from cluster.budget.limits import HostLimits
from cluster.budget.names import clash, is_ours, own_uuid
from cluster.budget.plan import HostPlan
from cluster.host.cards import CARDS
from cluster.host.model import GpuFacts, HostFacts, IommuGroup, PoolFacts
from cluster.types import MIB_PER_GIB, mib

_NULLABLE = {"cpu": ("cores", "virtualization"), "pools": ("capacity",), "nics": ("mbps",), "": ("memory", "iommu")}
"""Facts that are written even where not known; nulls do not survive the engine, so reading puts them back."""


_STEPS = tuple(mib(f"{step}GiB") for step in (64, 16, 4))
"""What others take of a pool is told in the largest of these steps that leaves the plan its room, else in GiB."""


def supply_props(
    facts: HostFacts, owner: str, limits: HostLimits | None = None, plan: Sequence[VmDemand] = ()
) -> dict[str, Any]:
    """Return what a host offers as plain JSON without nulls.

    Whatever our own VMs change is left out: the VMs themselves, drivers bound to passed devices, our pool, bridge and
    network once they are made (with ``limits``), serial numbers that only a bound NVIDIA driver tells, whether an
    address could be asked for. Of others' networks and routes only those are kept that are in the plan's way. Sizes go
    to whole GiB, what is there down and what is taken up; what is taken of a pool goes up further where the ``plan``
    has its room all the same, so that the growth of others' files is no change of the plan.
    """
    groups = {gpu.iommu_group for gpu in facts.gpus}
    kept = facts.model_copy(
        update={
            "memory": _down(facts.memory),
            "pools": tuple(_steady(pool, limits, plan) for pool in _pools(facts, owner, limits)),
            "gpus": tuple(_gpu(gpu) for gpu in facts.gpus),
            "iommu_groups": tuple(_group(group) for group in facts.iommu_groups if group.id in groups),
            "domains": tuple(domain for domain in facts.domains if domain.owner != owner),
            "bridges": _bridges(facts, limits),
            **_networks(facts, owner, limits),
            "live": False,
            "machine": (),
            "unknown": {path: why for path, why in facts.unknown.items() if not _of_the_moment(path)},
        }
    )
    return kept.model_dump(mode="json", exclude_defaults=True, exclude_none=True)


def facts_from_props(props: Mapping[str, Any]) -> HostFacts:
    """Return the facts that ``supply_props`` wrote; the engine drops nulls and hands numbers back as floats."""
    raw = dict(props)
    raw.update({key: raw.get(key) for key in _NULLABLE[""]})
    raw["cpu"] = _with_nulls(raw["cpu"], "cpu")
    for section in ("pools", "nics"):
        raw[section] = [_with_nulls(item, section) for item in raw.get(section) or ()]
    return HostFacts.model_validate(raw)


def _of_the_moment(path: str) -> bool:
    """Whether a gap comes and goes with our own VMs: what only a bound driver tells, who answers on a network."""
    return path == "answers" or (path.startswith("gpus.") and path.endswith((".uuid", ".memory")))


def _with_nulls(item: Mapping[str, Any], section: str) -> dict[str, Any]:
    return {**dict.fromkeys(_NULLABLE[section]), **item}


def _pools(facts: HostFacts, owner: str, limits: HostLimits | None) -> tuple[PoolFacts, ...]:
    if limits is None or not limits.pools:
        return tuple(_pool(facts, owner, pool, pool.name, pool.path) for pool in facts.pools)
    plan = HostPlan(facts, (), limits, "")
    wanted = [(name, path, plan.pool(name)) for name, path in sorted(limits.pools.items())]
    return tuple(_pool(facts, owner, pool, name, path) for name, path, pool in wanted if pool)


def _pool(facts: HostFacts, owner: str, pool: PoolFacts, name: str, path: str) -> PoolFacts:
    """A pool of ours is told as the place where it will be; one of that name of others', or that moved, as it is."""
    allocated = None if pool.allocated is None else -(-int(pool.allocated) // MIB_PER_GIB) * MIB_PER_GIB
    moved = pool.uuid is not None and pool.name == name and pool.path.rstrip("/") != path.rstrip("/")
    strange = pool.name == name and pool.uuid != own_uuid(owner, facts.name, "pool", name)
    return pool.model_copy(
        update={
            "name": name,
            "path": pool.path if moved else path,
            "uuid": pool.uuid if moved or strange or (pool.name == name and pool.active is False) else None,
            "capacity": _down(pool.capacity),
            "allocated": allocated and mib(f"{allocated}MiB"),
        }
    )


def _steady(pool: PoolFacts, limits: HostLimits | None, plan: Sequence[VmDemand]) -> PoolFacts:
    if limits is None or not pool.allocated or pool.capacity is None:
        return pool
    planned = sum(demand.disks.get(pool.name, 0) for demand in plan)
    room = int(pool.capacity) - limits.reserve_disk_mib - planned
    coarse = (-(-int(pool.allocated) // step) * step for step in (_STEPS if planned else ()))
    taken = next((size for size in coarse if size <= room), int(pool.allocated))
    return pool.model_copy(update={"allocated": mib(f"{taken}MiB")})


def _networks(facts: HostFacts, owner: str, limits: HostLimits | None) -> dict[str, object]:
    """Return others' networks and routes, where a plan is given only those that speak against it."""
    networks = [network for network in facts.networks if not is_ours(network, owner, facts.name)]
    if limits is None:
        return {"networks": tuple(networks)}
    own = {network.bridge for network in facts.networks if network not in networks}
    named = [each for each in networks if each.name == limits.network or (each.cidr and clash(each.cidr, limits.cidr))]
    routes = {net: name for net, name in facts.routes.items() if name not in own and clash(net, limits.cidr)}
    return {"networks": tuple(named), "routes": routes}


def _gpu(gpu: GpuFacts) -> GpuFacts:
    """What the card's kind is known for wins over what the driver said: the driver is gone once a VM holds the card."""
    known = CARDS.get(gpu.vendor_device)
    steady: dict[str, object] = {"driver": None, "serial": None, "uuid": None}
    if known:
        steady |= {
            "model": known.model,
            "memory": mib(f"{known.memory_mib}MiB"),
            "compute_capability": known.compute_capability,
        }
    return gpu.model_copy(update=steady)


def _group(group: IommuGroup) -> IommuGroup:
    return group.model_copy(
        update={"devices": tuple(each.model_copy(update={"driver": None}) for each in group.devices)}
    )


def _bridges(facts: HostFacts, limits: HostLimits | None) -> tuple[str, ...]:
    if limits is None:
        return facts.bridges
    return tuple(bridge for bridge in facts.bridges if bridge == limits.bridge)


def _down(size: int | None) -> int | None:
    """Whole GiB below; a size under one GiB stays, for none is not a size."""
    if size is None or size < MIB_PER_GIB:
        return size
    return mib(f"{int(size) // MIB_PER_GIB}GiB")
