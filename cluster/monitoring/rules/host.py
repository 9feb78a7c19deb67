"""The hypervisors, by exporters that a person puts there: memory, disks and their health, load, and the VMs on them.

Names of measurements as Debian's node exporter and libvirt exporter give them out. The reserve of a host and the VMs
that it should run are recorded from the settings, so that an alert can compare with them.
"""

from __future__ import annotations

from collections.abc import Iterable

from cluster.monitoring.names import HOST_LIBVIRT, HOST_NODE, STATE
from cluster.monitoring.rules.rule import DAY, HOUR, Alert, Recorded, Rule
from cluster.settings.model import Settings

RESERVE = "inference_cloud:host_reserve_memory_bytes"
VM_PLANNED = "inference_cloud:vm_planned"

_NODE = f'job="{HOST_NODE}"'
_LIBVIRT = f'job="{HOST_LIBVIRT}"'
_NO_DISK = 'fstype!~"tmpfs|ramfs|squashfs|overlay|vfat|efivarfs"'
_DISKS = f'{_NODE}, device!~"(loop|dm-|sr|zram|md|nbd).*"'


def rules(settings: Settings) -> Iterable[Rule]:
    """Yield what can be asked of the exporters that the settings name."""
    if any(host.exporters.node for host in settings.hosts):
        yield from _promised(settings)
        yield from _memory_and_load()
        yield from _file_systems()
        yield from _disks()
    if any(host.exporters.libvirt for host in settings.hosts):
        yield from _machines(settings)


def _promised(settings: Settings) -> Iterable[Rule]:
    for host in settings.hosts:
        yield Recorded(RESERVE, f"vector({host.reserve.memory * 1024**2})", {"host": host.name})


def _memory_and_load() -> Iterable[Rule]:
    yield Alert(
        "HostDown",
        f"up{{{_NODE}}} == 0",
        5,
        "critical",
        "the node exporter of host {{ $labels.host }} does not answer: the host, its network or the exporter is down",
    )
    yield Alert(
        "HostMemoryLow",
        # VMs with GPUs pin all of their memory: what must stay free is a part of the reserve, not a share of the whole
        f"node_memory_MemAvailable_bytes{{{_NODE}}} < on (host) group_left () {RESERVE} / 4",
        10,
        "critical",
        "host {{ $labels.host }} has {{ $value | humanize1024 }}B of memory left, under a quarter of its reserve",
    )
    yield Alert(
        "HostOutOfMemory",
        f"increase(node_vmstat_oom_kill{{{_NODE}}}[15m]) > 0",
        0,
        "critical",
        "host {{ $labels.host }} ran out of memory and killed a process, a VM perhaps",
    )
    yield Alert(
        "HostLoadHigh",
        f'node_load5{{{_NODE}}} / on (host) count by (host) (node_cpu_seconds_total{{{_NODE}, mode="idle"}}) > 1.5',
        30,
        "warning",
        "host {{ $labels.host }} has {{ $value | humanize }} runnable tasks for each thread of its processors",
    )


def _file_systems() -> Iterable[Rule]:
    free = f"node_filesystem_avail_bytes{{{_NODE}, {_NO_DISK}}}"
    size = f"node_filesystem_size_bytes{{{_NODE}, {_NO_DISK}}}"
    yield Alert(
        "HostDiskFilling",
        f"predict_linear({free}[6h], {DAY}) < 0 and {free} / {size} < 0.25",
        60,
        "warning",
        "{{ $labels.mountpoint }} of host {{ $labels.host }} will be full within a day if it goes on like this",
    )
    yield Alert(
        "HostDiskFull",
        f"{free} / {size} < 0.05",
        10,
        "critical",
        "{{ $labels.mountpoint }} of host {{ $labels.host }} has {{ $value | humanizePercentage }} left;"
        " a full pool stops every VM on it",
    )


def disk_latency(disks: str) -> str:
    """Return the seconds that a read, or else a write, took on average, where a tenth and more is too long."""

    def each(kind: str, done: str) -> str:
        count = f"rate(node_disk_{done}_completed_total{{{disks}}}[10m])"
        return f"(rate(node_disk_{kind}_time_seconds_total{{{disks}}}[10m]) / {count} > 0.1 and {count} > 1)"

    return f"{each('read', 'reads')} or {each('write', 'writes')}"


def _disks() -> Iterable[Rule]:
    yield Alert(
        "HostDiskSlow",
        disk_latency(_DISKS),
        15,
        "warning",
        "disk {{ $labels.device }} of host {{ $labels.host }} takes {{ $value | humanizeDuration }} for a request",
    )
    yield Alert(
        "HostDiskFailing",
        # the older collector of Debian 12 calls the gauge a counter
        f"nvme_critical_warning{{{_NODE}}} > 0 or nvme_critical_warning_total{{{_NODE}}} > 0"
        f" or smartmon_device_smart_healthy{{{_NODE}}} == 0",
        0,
        "critical",
        "disk {{ $labels.device }}{{ $labels.disk }} of host {{ $labels.host }} says of itself that it is failing",
    )
    yield Alert(
        "HostDiskWorn",
        f"nvme_percentage_used_ratio{{{_NODE}}} > 0.9"
        f" or nvme_available_spare_ratio{{{_NODE}}} - nvme_available_spare_threshold_ratio{{{_NODE}}} < 0.1",
        60,
        "warning",
        "NVMe drive {{ $labels.device }} of host {{ $labels.host }} is nearly worn out, or nearly out of spare blocks",
    )
    yield Alert(
        "HostDiskErrors",
        f"increase(nvme_media_errors_total{{{_NODE}}}[1d]) > 0",
        0,
        "warning",
        "NVMe drive {{ $labels.device }} of host {{ $labels.host }} could not read or write"
        ' {{ printf "%.0f" $value }} blocks within a day',
    )
    yield Alert(
        "HostCollectorsSilent",
        f'time() - node_textfile_mtime_seconds{{{_NODE}, file=~".*(nvme|smartmon)[.]prom"}} > {2 * HOUR}',
        15,
        "warning",
        "{{ $labels.file }} on host {{ $labels.host }} is {{ $value | humanizeDuration }} old: the health of disks is"
        " not known",
    )


def _machines(settings: Settings) -> Iterable[Rule]:
    told = {host.name for host in settings.hosts if host.exporters.libvirt}
    for machine in settings.machines:
        host = settings.host_of(machine).name
        if host in told:
            yield Recorded(VM_PLANNED, "vector(1)", {"domain": machine.name, "host": host})
    yield Alert(
        "HypervisorDown",
        f"libvirt_up{{{_LIBVIRT}}} == 0 or up{{{_LIBVIRT}}} == 0",
        5,
        "critical",
        "libvirt on host {{ $labels.host }} does not answer its exporter, or the exporter does not answer",
    )
    # Whoever stops a node on purpose (a flip, a driver, an upgrade) cordons it first.
    cordoned = f'kube_node_spec_unschedulable{{job="{STATE}"}} == 1'
    yield Alert(
        "VmDown",
        f"{VM_PLANNED} unless on (host, domain) libvirt_domain_state_code{{{_LIBVIRT}}} == 1"
        f" and on (host) libvirt_up{{{_LIBVIRT}}} == 1"
        f' unless on (domain) label_replace({cordoned}, "domain", "$1", "node", "(.+)")',
        5,
        "critical",
        "VM {{ $labels.domain }} does not run on host {{ $labels.host }}",
    )
