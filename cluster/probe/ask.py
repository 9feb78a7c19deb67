"""What the nodes are asked: the variable ``look`` of our playbooks, from a stack's settings."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from cluster import versions
from cluster.probe.ports import by_role, needed
from cluster.settings.model import Settings

MODULES = ("overlay", "br_netfilter", "nf_conntrack", "vxlan")
"""Kernel modules that containers and both network plugins need."""

CALICO_MODULES = ("ip_set",)

_HTTPS = 443
_DOWNLOADS = {"k3s": ("github.com",), "kubeadm": ("dl.k8s.io", "github.com"), "kubespray": ("dl.k8s.io", "github.com")}
"""Where nodes get programs from, as ``cluster.render.group_vars`` has it."""


def look(settings: Settings, *, transfer: bool = False) -> dict[str, Any]:
    """Return what to ask. ``transfer``: measure the throughput of every pair as well."""
    places = reachable(settings)
    return {
        "names": list(dict.fromkeys(host for host, _ in places)),
        "reach": [{"host": host, "port": port} for host, port in places],
        "modules": list(modules(settings)),
        "ports": by_role(needed(settings)),
        "mtu": settings.network.mtu,
        "others": list(host_addresses(settings).values()),
        "transfer": transfer,
    }


def modules(settings: Settings) -> tuple[str, ...]:
    """Return the kernel modules that the nodes need."""
    return MODULES if settings.kubernetes.provisioner == "k3s" else MODULES + CALICO_MODULES


def reachable(settings: Settings) -> list[tuple[str, int]]:
    """Return where every node gets images and files from, as (host, port): the mirrors where there are some."""
    registry = settings.registry
    places = [_place(f"https://{registry.mirror}")] if registry.mirror else [(host, _HTTPS) for host in registries()]
    downloads = _DOWNLOADS.get(settings.kubernetes.provisioner, ())
    places += [_place(registry.files)] if registry.files else [(host, _HTTPS) for host in downloads]
    return list(dict.fromkeys(places))


def registries() -> tuple[str, ...]:
    """Return the registries of the pinned images, and Kubernetes' own."""
    return tuple(dict.fromkeys(["registry.k8s.io", *(image.partition("/")[0] for image in versions.IMAGES.values())]))


def _place(url: str) -> tuple[str, int]:
    split = urlsplit(url if "://" in url else f"https://{url}")
    return split.hostname or "", split.port or (80 if split.scheme == "http" else _HTTPS)


def host_addresses(settings: Settings) -> dict[str, str]:
    """Return host -> address, for the hosts whose URI has one; this machine's own is the gateway of its network."""
    found = {host.name: urlsplit(host.uri).hostname for host in settings.hosts}
    return {name: address for name, address in found.items() if address}
