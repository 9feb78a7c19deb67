"""What terraform-provider-libvirt 0.8 says of its resources: defaults, what is computed, what forces a replacement.

Read from its source at v0.8.3 (``resource_libvirt_*.go``: ForceNew, Computed, Default), which pulumi-libvirt 0.5.4
bridges. Property names are the bridge's (``network_interface`` is ``networkInterfaces``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

DOMAIN = "libvirt:index/domain:Domain"
NETWORK = "libvirt:index/network:Network"
POOL = "libvirt:index/pool:Pool"
VOLUME = "libvirt:index/volume:Volume"
CLOUD_INIT = "libvirt:index/cloudInitDisk:CloudInitDisk"


@dataclass(frozen=True)
class Rules:
    """Of one resource type: paths that force a replacement, top-level outputs computed where not given, defaults."""

    forced: tuple[str, ...]
    computed: tuple[str, ...] = ()
    defaults: dict[str, Any] = field(default_factory=dict)


RULES: dict[str, Rules] = {
    DOMAIN: Rules(
        forced=(
            *("name", "description", "vcpu", "memory", "firmware", "type", "nvram", "coreosIgnition", "fwCfgName"),
            *("filesystems", "disks", "graphics", "cpu", "cmdlines", "xml.xslt"),
            *("consoles.type", "consoles.sourcePath", "consoles.sourceHost", "consoles.sourceService"),
            *("consoles.targetPort", "consoles.targetType"),
            *("tpm.model", "tpm.backendType", "tpm.backendDevicePath", "tpm.backendEncryptionSecret"),
            *("tpm.backendVersion", "tpm.backendPersistentState"),
        ),
        computed=("arch", "autostart", "cpu", "emulator", "machine", "nvram"),
        defaults={
            "fwCfgName": "opt/com.coreos/config",
            "memory": 512,
            "qemuAgent": False,
            "running": True,
            "type": "kvm",
            "vcpu": 1,
        },
    ),
    NETWORK: Rules(
        forced=(
            *("name", "domain", "mode", "bridge", "addresses", "dhcp", "routes", "xml"),
            *("dns.forwarders", "dns.srvs"),
        ),
        computed=("autostart", "bridge", "dhcp", "dns"),
        defaults={"mode": "nat"},
    ),
    POOL: Rules(
        forced=("name", "type", "capacity", "allocation", "available", "source", "target", "path", "xml"),
        computed=("capacity", "allocation", "available", "target"),
    ),
    VOLUME: Rules(
        forced=(
            *("name", "pool", "source", "size", "format", "xml"),
            *("baseVolumeId", "baseVolumeName", "baseVolumePool"),
        ),
        computed=("size", "format"),
        defaults={"pool": "default"},
    ),
    CLOUD_INIT: Rules(
        forced=("name", "pool", "userData", "metaData", "networkConfig"),
        defaults={"pool": "default"},
    ),
}

INTERFACE_COMPUTED = ("networkId", "networkName", "mac", "hostname", "addresses")
"""Of a domain's network interface: computed where not given."""
