"""Facts of a node: raw, from the kernel's files and a few commands; what cannot be had says why in ``unknown``."""

from __future__ import annotations

import concurrent.futures
import json
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

COMMAND_S = 10
"""Seconds that a command may take."""

LOOKUPS_AT_ONCE = 32
CONNECT_S = 5.0

DISKS = ("/", "/var/lib", "/tmp")  # noqa: S108  looked at, not written to

SYSCTLS = (
    "net.ipv4.ip_forward",
    "net.ipv4.conf.all.rp_filter",
    "fs.inotify.max_user_instances",
    "fs.inotify.max_user_watches",
)

# What is there once a module is in the kernel, loaded or built in: not every one has a folder in /sys/module.
EVIDENCE = {
    "br_netfilter": "/proc/sys/net/bridge",
    "nf_conntrack": "/proc/sys/net/netfilter/nf_conntrack_max",
}


def collect(
    address: str, names: Sequence[str], reach: Sequence[Mapping[str, Any]], modules: Sequence[str]
) -> dict[str, Any]:
    """Return the facts of this node, as plain data.

    ``address``: where the other nodes find it; ``names``: to be looked up; ``reach``: [{host, port}] to connect to;
    ``modules``: of the kernel.
    """
    asked: dict[str, Callable[[], Any]] = {
        "python": lambda: ".".join(str(part) for part in sys.version_info[:3]),
        "kernel": platform.release,
        "hostname": socket.gethostname,
        "machine_id": lambda: _read("/etc/machine-id"),
        "product_uuid": lambda: _read("/sys/class/dmi/id/product_uuid").lower(),
        "memory_mib": _memory_mib,
        "cores": lambda: len(os.sched_getaffinity(0)),
        "swap": _swap,
        "cgroup": _cgroup,
        "disks": lambda: [_disk(path) for path in DISKS],
        "modules": lambda: {name: _module(name) for name in modules},
        "sysctl": lambda: {name: _sysctl(name) for name in SYSCTLS},
        "interfaces": lambda: _interfaces(address),
        "gateway": _gateway,
        "synchronised": _synchronised,
        "names": lambda: _each(_lookup, names),
        "reach": lambda: _each(_reach, ["{host}:{port}".format(**each) for each in reach]),
    }
    facts: dict[str, Any] = {}
    unknown: dict[str, str] = {}
    for name, ask in asked.items():
        try:
            facts[name] = ask()
        except (OSError, ValueError, KeyError, IndexError, subprocess.SubprocessError) as error:
            unknown[name] = " ".join(str(error).split()) or type(error).__name__
    facts["unknown"] = unknown
    return facts


def _read(path: str) -> str:
    return Path(path).read_text().strip()


def _run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=COMMAND_S, env={**os.environ, "LC_ALL": "C"})
    if done.returncode != 0:
        raise ValueError(f"{words[0]}: {done.stderr.strip() or done.returncode}")
    return done.stdout.strip()


def _memory_mib() -> int:
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    raise ValueError("/proc/meminfo has no MemTotal")


def _swap() -> list[str]:
    """Return the devices and files that are swapped to."""
    return [line.split()[0] for line in _read("/proc/swaps").splitlines()[1:] if line.strip()]


def _cgroup() -> dict[str, Any]:
    """Return the version at /sys/fs/cgroup, and version 2's controllers."""
    for line in _read("/proc/mounts").splitlines():
        _, place, kind = line.split()[:3]
        if place == "/sys/fs/cgroup" and kind == "cgroup2":
            return {"version": 2, "controllers": _read("/sys/fs/cgroup/cgroup.controllers").split()}
    return {"version": 1, "controllers": []}


def _disk(path: str) -> dict[str, Any]:
    """Return a file system's device and what ordinary users may still write."""
    found = os.statvfs(path)
    return {
        "path": path,
        "device": Path(path).stat().st_dev,
        "free_mib": found.f_bavail * found.f_frsize >> 20,
        "size_mib": found.f_blocks * found.f_frsize >> 20,
        "free_inodes": found.f_favail if found.f_files else None,
    }


def _module(name: str) -> str:
    """Return loaded (or built in), loadable, or missing."""
    if Path("/sys/module", name).exists() or Path(EVIDENCE.get(name, "/none")).exists():
        return "loaded"
    if name in {line.split()[-1] for line in _read("/proc/filesystems").splitlines()}:
        return "loaded"
    try:
        _run("modprobe", "--dry-run", "--quiet", name)
    except (OSError, ValueError):
        return "missing"
    return "loadable"


def _sysctl(name: str) -> int | None:
    path = Path("/proc/sys", *name.split("."))
    return int(path.read_text()) if path.exists() else None


def _interfaces(address: str) -> list[dict[str, Any]]:
    """Return every interface with an IPv4 address; ``own``: the one that the other nodes find this node at."""
    found = []
    for link in json.loads(_run("ip", "-json", "address", "show")):
        addresses = [each["local"] for each in link.get("addr_info", []) if each.get("family") == "inet"]
        if addresses and link["ifname"] != "lo":
            found.append(
                {
                    "name": link["ifname"],
                    "mac": link.get("address", ""),
                    "mtu": link["mtu"],
                    "up": "UP" in link.get("flags", []),
                    "addresses": addresses,
                    "own": address in addresses,
                }
            )
    return found


def _gateway() -> str | None:
    """Return the default route's next address; None without a default route."""
    routes = json.loads(_run("ip", "-json", "-4", "route", "show", "default") or "[]")
    return routes[0].get("gateway") if routes else None


def _synchronised() -> str:
    """Return what systemd says of the clock: yes or no."""
    return _run("timedatectl", "show", "--property", "NTPSynchronized", "--value")


def _each(ask: Callable[[str], dict[str, Any]], items: Sequence[str]) -> dict[str, dict[str, Any]]:
    with concurrent.futures.ThreadPoolExecutor(LOOKUPS_AT_ONCE) as pool:
        return dict(pool.map(lambda item: (item, ask(item)), items))


def _lookup(name: str) -> dict[str, Any]:
    """Return a name's IPv4 addresses; {"error"} where there are none."""
    try:
        found = socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        return {"error": error.strerror or str(error)}
    return {"addresses": sorted({entry[4][0] for entry in found})}


def _reach(place: str) -> dict[str, Any]:
    """Connect to host:port; return how many milliseconds that took, or {"error"}."""
    host, _, port = place.rpartition(":")
    begun = time.monotonic()
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except OSError as error:
        return {"error": error.strerror or str(error)}
    return {"ms": round((time.monotonic() - begun) * 1000, 1)}
