"""The hypervisors and the VMs on them, by node and libvirt exporters."""

from __future__ import annotations

from cluster.monitoring.dashboards.panels import Panel, board, number, series
from cluster.monitoring.names import HOST_LIBVIRT, HOST_NODE
from cluster.monitoring.rules.host import RESERVE, VM_PLANNED

_NODE = f'job="{HOST_NODE}"'
_LIBVIRT = f'job="{HOST_LIBVIRT}"'
_DISKS = f'{_NODE}, device!~"(loop|dm-|sr|zram|md|nbd).*"'
_FILES = f'{_NODE}, fstype!~"tmpfs|ramfs|squashfs|overlay|vfat|efivarfs"'
_RATE = "[$__rate_interval]"
_VM = "{{domain}}"


def board_() -> str:
    """Return the dashboard."""
    return board(
        "Hosts",
        "The hypervisors, their disks and how these are, and the VMs on them, those of others as well.",
        [
            (
                "Now",
                [
                    number("Hosts that answer", f"sum(up{{{_NODE}}})", good_from=1),
                    number("VMs planned", f"count({VM_PLANNED})"),
                    number("VMs that run", f"count(libvirt_domain_state_code{{{_LIBVIRT}}} == 1)", good_from=1),
                    number("Least memory left", f"min(node_memory_MemAvailable_bytes{{{_NODE}}})", "bytes"),
                    number(
                        "NVMe: most used up", f"max(nvme_percentage_used_ratio{{{_NODE}}})", "percentunit", bad_from=0.9
                    ),
                    number("NVMe: errors", f"sum(nvme_media_errors_total{{{_NODE}}})", bad_from=1),
                ],
            ),
            ("Host", _host()),
            ("Disks", _disks()),
            ("VMs", _machines()),
        ],
    )


def _host() -> list[Panel]:
    cpu = f'avg by (host) (rate(node_cpu_seconds_total{{{_NODE}, mode="idle"}}{_RATE}))'
    threads = f'count by (host) (node_cpu_seconds_total{{{_NODE}, mode="idle"}})'
    return [
        series("CPU in use", [(f"1 - {cpu}", "{{host}}")], "percentunit", 0.95),
        series("Load for each thread", [(f"node_load5{{{_NODE}}} / on (host) {threads}", "{{host}}")], limit=1.5),
        series(
            "Memory left",
            [
                (f"node_memory_MemAvailable_bytes{{{_NODE}}}", "{{host}}"),
                (RESERVE, "{{host}}: its reserve"),
            ],
            "bytes",
        ),
        series(
            "Temperature",
            [(f"max by (host, chip) (node_hwmon_temp_celsius{{{_NODE}}})", "{{host}} {{chip}}")],
            "celsius",
        ),
    ]


def _disks() -> list[Panel]:
    queries = []
    for kind, done in (("read", "reads"), ("write", "writes")):
        spent = f"rate(node_disk_{kind}_time_seconds_total{{{_DISKS}}}{_RATE})"
        legend = f"{{{{host}}}} {{{{device}}}} {kind}"
        queries.append((f"{spent} / rate(node_disk_{done}_completed_total{{{_DISKS}}}{_RATE})", legend))
    used = f"1 - node_filesystem_avail_bytes{{{_FILES}}} / node_filesystem_size_bytes{{{_FILES}}}"
    busy = f"rate(node_disk_io_time_seconds_total{{{_DISKS}}}{_RATE})"
    return [
        series("Time for a request", queries, "s", 0.1),
        series("Busy", [(busy, "{{host}} {{device}}")], "percentunit", 0.95),
        series("File systems in use", [(used, "{{host}} {{mountpoint}}")], "percentunit", 0.95),
        series(
            "NVMe: used up and spare",
            [
                (f"nvme_percentage_used_ratio{{{_NODE}}}", "{{host}} {{device}} used up"),
                (f"nvme_available_spare_ratio{{{_NODE}}}", "{{host}} {{device}} spare"),
            ],
            "percentunit",
        ),
        series("NVMe: temperature", [(f"nvme_temperature_celsius{{{_NODE}}}", "{{host}} {{device}}")], "celsius", 70),
        series(
            "SMART: healthy",
            [(f"smartmon_device_smart_healthy{{{_NODE}}}", "{{host}} {{disk}}")],
            about="0 is a bad sign",
        ),
    ]


def _machines() -> list[Panel]:
    blocks = "libvirt_domain_block_stats"
    return [
        series("CPUs in use", [(f"rate(libvirt_domain_info_cpu_time_seconds_total{{{_LIBVIRT}}}{_RATE})", _VM)]),
        series("Memory", [(f"libvirt_domain_info_memory_usage_bytes{{{_LIBVIRT}}}", _VM)], "bytes"),
        series(
            "Disk",
            [
                (f"sum by (domain) (rate({blocks}_read_bytes_total{{{_LIBVIRT}}}{_RATE}))", f"{_VM} reads"),
                (f"sum by (domain) (rate({blocks}_write_bytes_total{{{_LIBVIRT}}}{_RATE}))", f"{_VM} writes"),
            ],
            "Bps",
        ),
        series(
            "Network",
            [
                (
                    f"sum by (domain) (rate(libvirt_domain_interface_stats_{side}_bytes_total{{{_LIBVIRT}}}{_RATE}))",
                    f"{_VM} {side}s",
                )
                for side in ("receive", "transmit")
            ],
            "Bps",
        ),
    ]
