"""The machine that figures were measured on, without its name."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path

KIB_PER_GIB = 1024 * 1024


def describe(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what a reader needs to place the figures: processor, memory, kernel, versions, and how busy it was."""
    version = subprocess.run(["pulumi", "version"], env=dict(environment), capture_output=True, text=True)
    return {
        "processor": _field("/proc/cpuinfo", "model name") or platform.processor() or "not known",
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": _memory(_field("/proc/meminfo", "MemTotal")),
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "engine": f"pulumi {version.stdout.strip() or 'not known'}",
        "load of the last 1, 5 and 15 minutes at the start": " ".join(f"{each:.1f}" for each in os.getloadavg()),
    }


def _field(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _memory(text: str) -> str:
    kib = text.split(" ")[0]
    return f"{int(kib) / KIB_PER_GIB:.0f} GiB" if kib.isdigit() else "not known"
