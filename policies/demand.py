"""Demand: what the planned VMs and volumes ask of each host, added up from their own inputs, not from settings."""

from __future__ import annotations

import contextlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

from cluster.budget import GpuDemand, VmDemand
from cluster.host.model import HostFacts
from cluster.types import BYTES_PER_MIB
from policies.hosts import HostUnreadableError, Supply, UnreadableError, host_of, machine_of
from policies.model import UNKNOWN, Plan, Resource, reveal
from policies.sizes import VOLUME, Size, keeps_size, sizes_of

DOMAIN = "libvirt:index/domain:Domain"

_DEFAULT_CORES, _DEFAULT_MEMORY_MIB = 1, 512
_SOURCE = re.compile(r"<hostdev\b.*?<source\b[^>]*>(.*?)</source>", re.DOTALL)
_ADDRESS = re.compile(r"<address\b([^>]*)>")
_PART = re.compile(r"\b(domain|bus|slot|function)\s*=\s*[\"']0x([0-9a-fA-F]+)[\"']")


@dataclass(frozen=True)
class Demands:
    """The demand of a whole plan by host, and the volumes that could not be added up: URN and reason."""

    by_host: Mapping[str, Sequence[VmDemand]]
    unreadable: Sequence[tuple[str, str]]


_SUMS: WeakKeyDictionary[Plan, Demands] = WeakKeyDictionary()


def demands_of(plan: Plan) -> Demands:
    """Return the demand of every VM and volume of a complete plan, by host; the sum is made once per plan."""
    found = _SUMS.get(plan)
    if found is None:
        found = _SUMS[plan] = _add_up(plan)
    return found


def vm_demand(domain: Resource, supply: Supply) -> VmDemand:
    """Return what a planned VM asks of its host, disks left out. Raises UnreadableError for an unknown value."""
    return VmDemand(
        name=_text(domain, "name", domain.name),
        host=supply.name,
        cores=_whole(domain, "vcpu", _DEFAULT_CORES),
        memory_mib=_whole(domain, "memory", _DEFAULT_MEMORY_MIB),
        gpus=tuple(_gpu_demands(hostdevs(domain), supply.facts)),
    )


def hostdevs(domain: Resource) -> list[str]:
    """Return the PCI addresses that a planned VM takes from its host, as its XSLT writes them into the domain's XML."""
    xml = reveal(domain.props.get("xml"))
    if xml is UNKNOWN or (isinstance(xml, Mapping) and xml.get("xslt") is UNKNOWN):
        raise UnreadableError(_unknown(domain, "xml.xslt"))
    text = xml.get("xslt") if isinstance(xml, Mapping) else None
    found: list[str] = []
    for source in _SOURCE.findall(text if isinstance(text, str) else ""):
        for attributes in _ADDRESS.findall(source):
            part = {name: int(value, 16) for name, value in _PART.findall(attributes)}
            if part.keys() >= {"bus", "slot", "function"}:
                found.append(f"{part.get('domain', 0):04x}:{part['bus']:02x}:{part['slot']:02x}.{part['function']}")
    return found


def _gpu_demands(addresses: Sequence[str], facts: HostFacts) -> Iterator[GpuDemand]:
    """Sort a VM's hostdevs into GPUs and the functions that move with them: by IOMMU group, else by card."""
    gpus = [address for address in addresses if facts.gpu(address)]
    with_gpu: dict[str, list[str]] = {address: [] for address in gpus}
    for address in addresses:
        if address in with_gpu:
            continue
        leader = next((gpu for gpu in gpus if _move_together(gpu, address, facts)), None)
        if leader is None:
            leader = next((gpu for gpu in with_gpu if _same_card(gpu, address)), address)
        if leader == address:
            with_gpu[address] = []
        else:
            with_gpu[leader].append(address)
    for address, siblings in with_gpu.items():
        yield GpuDemand(address, tuple(siblings))


def _move_together(gpu: str, address: str, facts: HostFacts) -> bool:
    found = facts.gpu(gpu)
    group = facts.group_of(found) if found else None
    return bool(group and any(device.address == address for device in group.devices)) or _same_card(gpu, address)


def _same_card(one: str, other: str) -> bool:
    return one.rpartition(".")[0] == other.rpartition(".")[0]


def _add_up(plan: Plan) -> Demands:
    sizes = sizes_of(plan)
    vms = _vms(plan, sizes)
    machines = {parent for parent, demand in vms.values() if parent}
    disks: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    by_host: dict[str, list[VmDemand]] = defaultdict(list)
    unreadable: list[tuple[str, str]] = []
    for volume in plan.of(VOLUME):
        if "size" not in volume.props:
            continue  # a copy of an image: as large as the image, which no input says
        try:
            pool, size = _disk(volume, sizes)
            if volume.parent in machines and machine_of(volume, plan):
                disks[volume.parent][pool] += size
            else:
                host = host_of(volume, plan).name
                by_host[host].append(VmDemand(f"volume {volume.name}", host, 0, 0, {pool: size}))
        except HostUnreadableError:
            continue
        except UnreadableError as error:
            if volume.planned:
                unreadable.append((volume.urn, str(error)))
    for parent, demand in vms.values():
        by_host[demand.host].append(replace(demand, disks=dict(disks.pop(parent, {}))))
    return Demands(by_host, unreadable)


def _vms(plan: Plan, sizes: Mapping[str, Size]) -> dict[str, tuple[str, VmDemand]]:
    """Return by URN each VM's parent and demand; one that stands asks for what its size command gives it."""
    found: dict[str, tuple[str, VmDemand]] = {}
    for domain in plan.of(DOMAIN):
        # One that cannot be read was refused when it was registered.
        with contextlib.suppress(UnreadableError):
            asked = vm_demand(domain, host_of(domain, plan))
            if keeps_size(domain) and domain.parent in sizes:
                size = sizes[domain.parent]
                asked = replace(asked, cores=size.cores, memory_mib=size.memory_mib)
            found[domain.urn] = (domain.parent, asked)
    return found


def _disk(volume: Resource, sizes: Mapping[str, Size]) -> tuple[str, int]:
    """Return a volume's pool and its size in MiB, rounded up; a disk that stands may be about to grow."""
    size = -(-_whole(volume, "size", 0) // BYTES_PER_MIB)
    if "size" in volume.ignores and volume.parent in sizes:
        size = max(size, sizes[volume.parent].disk_mib)
    return _text(volume, "pool", "default"), size


def _whole(resource: Resource, key: str, default: int) -> int:
    value = reveal(resource.props.get(key))
    if value is UNKNOWN:
        raise UnreadableError(_unknown(resource, key))
    return int(value) if isinstance(value, (int, float)) else default


def _text(resource: Resource, key: str, default: str) -> str:
    value = reveal(resource.props.get(key))
    if value is UNKNOWN:
        raise UnreadableError(_unknown(resource, key))
    return value if isinstance(value, str) else default


def _unknown(resource: Resource, key: str) -> str:
    return (
        f"{resource.name}: {key} is not known before the update, so nobody can tell whether its host has room;"
        " pass a plain value, not an output"
    )
