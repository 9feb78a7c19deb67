"""What of a host the plan may use, and the least that a host must offer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from cluster.settings.model import Gpu, Host, Settings
from cluster.types import MIB_PER_GIB

if TYPE_CHECKING:
    from cluster.leases.book import Lease

LLM_GPU_MEMORY_MIB = 22_888
"""24 GB of GPU memory as makers count it (24e9 bytes): what a "24 GB" card shows, with ECC or without, lies above."""

DEFAULT_STOP = "virsh shutdown"


@dataclass(frozen=True)
class HostLimits:
    """Thresholds of one host; the defaults are the requirement's minimum.

    ``pools`` maps a pool's name to its path, for a pool that is not made yet. ``bridge`` is set where VMs need an
    existing one. ``uri`` and ``stop`` only make remedies exact: where libvirt answers, how a VM of others is stopped.
    ``network`` is the libvirt network that the program makes; ``cidr`` what it serves there and ``mtu`` its size of
    packets, None where it only joins a bridge; ``api_address`` a planned address that no VM has to itself.
    ``emulation``: VMs may do without KVM.
    ``sharer`` owns VMs that may define our cards while they are shut off (``hpc.shares_gpus``); ``lent`` are the cards
    of the plan whose lease it holds.
    """

    reserve_cores: int = 4
    reserve_memory_mib: int = 4 * MIB_PER_GIB
    reserve_disk_mib: int = 100 * MIB_PER_GIB
    vcpus_per_core: float = 1.0
    min_compute_capability: str = "7.0"
    min_gpu_memory_mib: int = LLM_GPU_MEMORY_MIB
    min_nic_mbps: int = 1000
    pools: Mapping[str, str] = field(default_factory=dict)
    bridge: str | None = None
    uri: str = "qemu:///system"
    stop: str = DEFAULT_STOP
    sharer: str | None = None
    lent: tuple[str, ...] = ()
    network: str = ""
    cidr: str | None = None
    mtu: int | None = None
    api_address: str | None = None
    emulation: bool = False

    def stop_command(self, vm: str) -> str:
        """Return the command that stops a VM of another cluster."""
        return f"virsh -c {self.uri} shutdown {vm}" if self.stop == DEFAULT_STOP else f"{self.stop} {vm}"


def limits_from(settings: Settings, leases: Iterable[Lease] = ()) -> dict[str, HostLimits]:
    """Return the limits of every host of the settings, by name; ``leases`` say what a cluster that shares GPUs has."""
    return {host.name: _limits_of(host, settings, leases) for host in settings.hosts}


def sharer_of(settings: Settings) -> str | None:
    """Return the owner of VMs that may define the same GPUs as ours, or None where no cluster shares them."""
    return settings.hpc.name if settings.hpc and settings.hpc.shares_gpus else None


def _limits_of(host: Host, settings: Settings, leases: Iterable[Lease]) -> HostLimits:
    sharer = sharer_of(settings)
    planned = [gpu for each in settings.machines if settings.host_of(each) is host for gpu in each.gpus]
    theirs = {
        function
        for lease in leases
        if sharer and (lease.host, lease.owner) == (host.name, sharer)
        for function in lease.devices
    }
    return HostLimits(
        reserve_cores=host.reserve.cores,
        reserve_memory_mib=int(host.reserve.memory),
        reserve_disk_mib=int(host.reserve.disk),
        vcpus_per_core=host.vcpus_per_core,
        pools={host.pool.name: host.pool.path},
        bridge=settings.network.bridge if settings.network.mode == "bridge" else None,
        uri=host.uri,
        stop=settings.hpc.stop if settings.hpc else DEFAULT_STOP,
        sharer=sharer,
        lent=tuple(sorted(gpu.address for gpu in planned if theirs & {gpu.address, *_siblings(gpu)})),
        network=settings.network.name,
        cidr=str(settings.network.cidr) if settings.network.mode == "nat" else None,
        mtu=settings.network.mtu if settings.network.mode == "nat" else None,
        api_address=str(settings.network.api_address) if settings.network.api_address else None,
        emulation=host.emulation,
    )


def _siblings(gpu: Gpu) -> Iterable[str]:
    """Return what the settings list beside a GPU; ``auto`` stands for functions of the same card, never another GPU."""
    return () if gpu.siblings == "auto" else gpu.siblings


def limits_props(limits: HostLimits) -> dict[str, Any]:
    """Return limits as resource props: plain JSON without nulls; ``lent`` only where there is any."""
    props = {**asdict(limits), "lent": list(limits.lent) or None}
    return {key: value for key, value in props.items() if value is not None}


def limits_from_props(props: Mapping[str, Any]) -> HostLimits:
    """Return the limits that ``limits_props`` wrote; the engine hands numbers back as floats."""
    fields = dict(props)
    for key in ("reserve_cores", "reserve_memory_mib", "reserve_disk_mib", "min_gpu_memory_mib", "min_nic_mbps", "mtu"):
        if key in fields:
            fields[key] = int(fields[key])
    return HostLimits(**{**fields, "lent": tuple(fields.get("lent") or ())})
