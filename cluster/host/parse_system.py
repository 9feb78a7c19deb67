"""Parsers for what the kernel and small tools tell of processors, memory, network and disks. Text in, values out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from cluster.host.model import Cpu, Nic

Vendor = Literal["amd", "intel", "other"]
Device = Literal["nvme", "ssd", "hdd", "unknown"]

_VENDORS: dict[str, Vendor] = {"AuthenticAMD": "amd", "GenuineIntel": "intel"}


@dataclass(frozen=True)
class Space:
    """A file system as ``df -Pk`` tells: where it is mounted, MiB in all, MiB used."""

    mount: str
    capacity_mib: int
    used_mib: int


def parse_cpuinfo(text: str, kvm: bool | None) -> Cpu:
    """Return the processors of ``/proc/cpuinfo``.

    ``kvm``: whether /dev/kvm is there; the flags stay when the firmware has virtualisation off, the device does not.
    """
    fields = [(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in text.splitlines())]
    first = dict(reversed(fields))
    threads = sum(key == "processor" for key, _ in fields)
    sockets, ids = "0", set()
    for key, value in fields:
        if key == "physical id":
            sockets = value
        elif key == "core id":
            ids.add((sockets, value))
    flags = first.get("flags", "").split()
    able = "svm" in flags or "vmx" in flags if "flags" in first else None
    return Cpu(
        vendor=_VENDORS.get(first.get("vendor_id", ""), "other"),
        model=first.get("model name", "unknown"),
        cores=len(ids) or threads or None,
        threads=threads or None,
        virtualization=able if able is None or not able else kvm,
    )


def parse_memory(blocks: str | None, meminfo: str | None) -> int | None:
    """Return the memory in MiB: installed, by the kernel's memory blocks ("192 8000000"), else what MemTotal says."""
    found = re.fullmatch(r"\s*([0-9]{1,9}) ([0-9a-f]{1,12})\s*", blocks or "")
    installed = int(found[1]) * int(found[2], 16) // (1024 * 1024) if found else 0
    total = re.search(r"MemTotal:\s+([0-9]{1,15}) kB", meminfo or "")
    return installed or (int(total[1]) // 1024 if total else 0) or None


def parse_nics(text: str) -> tuple[Nic, ...]:
    """Return the interfaces of lines ``name speed operstate``; a speed of - or -1 is not known."""
    nics = []
    for line in text.splitlines():
        if len(parts := line.split()) == 3:
            name, speed, state = parts
            up = {"up": True, "down": False, "lowerlayerdown": False}.get(state)
            nics.append(Nic(name=name, mbps=int(speed) if re.fullmatch(r"[1-9][0-9]{0,8}", speed) else None, up=up))
    return tuple(nics)


def parse_df(text: str) -> Space | None:
    """Return the file system of ``df -Pk PATH``."""
    for line in text.splitlines()[1:]:
        found = re.match(r"\S.*?\s+([0-9]{1,18})\s+([0-9]{1,18})\s+[0-9]+\s+[0-9]+%\s+(/.*)$", line)
        if found:
            return Space(found[3], int(found[1]) // 1024, -(-int(found[2]) // 1024))
    return None


def parse_blocks(text: str) -> Device:
    """Return the kind of disk below a file system from ``lsblk -snro NAME,ROTA,TYPE``; the slowest below counts."""
    kinds: set[Device] = set()
    for line in text.splitlines():
        parts = line.split()
        if len(parts) == 3 and parts[2] == "disk":
            kinds.add("hdd" if parts[1] == "1" else "nvme" if parts[0].startswith("nvme") else "ssd")
    order: tuple[Device, ...] = ("hdd", "ssd", "nvme")
    return next((kind for kind in order if kind in kinds), "unknown")
