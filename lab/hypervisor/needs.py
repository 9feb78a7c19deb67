"""What a machine must have to carry a private hypervisor; all that is missing is said at once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping

MARK = "CLOUD_HYPERVISOR"
"""Set inside a private hypervisor; its value is the hypervisor's folder."""

TOOLS: Mapping[str, str] = {
    "setpriv": "util-linux",
    "unshare": "util-linux",
    "ip": "iproute2",
    "libvirtd": "libvirt-daemon-system",
    "virtlogd": "libvirt-daemon-system",
    "virsh": "libvirt-clients",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "dnsmasq": "dnsmasq-base",
    "iptables": "iptables",
    "xsltproc": "xsltproc",
}
"""Command -> Debian package that brings it."""


class HypervisorError(Exception):
    """There can be no private hypervisor here; the message says why and what to do."""


def missing() -> str | None:
    """Return why this machine cannot carry a private hypervisor, with the remedy, or None where it can."""
    reasons = []
    if os.geteuid() != 0:
        reasons.append("it needs root, for its namespaces and mounts; run it with sudo")
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    lacking = [tool for tool in TOOLS if not shutil.which(tool, path=path)]
    if lacking:
        packages = " ".join(dict.fromkeys(TOOLS[tool] for tool in lacking))
        reasons.append(f"{', '.join(lacking)} is not installed; on Debian: apt-get install {packages}")
    return "; ".join(reasons) or None
