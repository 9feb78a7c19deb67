"""The HPC cluster beside the stack: whose VMs are whose, and commands that can be run as they stand."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from cluster.problems import Problem
from cluster.settings.draft import Draft

COMMANDS = ("start", "stop", "drain", "resume")
_SHELL = re.compile(r"[|&;<>`\n]|\$[({A-Za-z_]")
"""What only a shell understands; commands are run without one."""


def check(draft: Draft) -> Iterator[Problem]:
    """Yield the problems of the section hpc."""
    if draft.hpc is None:
        return
    yield from _vms(draft)
    for field in COMMANDS:
        command = getattr(draft.hpc.value, field) if draft.hpc.has(field) else None
        if command is not None and (fault := _fault(command)):
            yield Problem(f"hpc.{field}", command, *fault)
    if draft.hpc.has("driver") and draft.hpc.value.driver is not None:
        driver = draft.hpc.value.driver
        if not re.fullmatch(r"[A-Za-z0-9_-]+", driver):
            yield Problem("hpc.driver", driver, "is not the name of a driver", "write for example nvidia or vfio-pci")


def _vms(draft: Draft) -> Iterator[Problem]:
    hpc = draft.hpc
    assert hpc is not None
    ours = {machine.value.name: machine.path for machine in draft.machines.having("name")}
    if hpc.has("vms"):
        for index, name in enumerate(hpc.value.vms):
            if name in hpc.value.vms[:index]:
                yield Problem(f"hpc.vms[{index}]", name, "is named twice", "name each VM once")
            elif name in ours:
                reason = f"is a machine of this stack ({ours[name]})"
                yield Problem(f"hpc.vms[{index}]", name, reason, "name only the VMs of the HPC cluster")
            elif not name.strip() or name.startswith("-"):
                yield Problem(f"hpc.vms[{index}]", name, "is not the name of a VM", "write what virsh list --all shows")
    if hpc.has("name"):
        for name, path in ours.items():
            if name.startswith(f"{hpc.value.name}-"):
                reason = f"begins with {hpc.value.name}-, as the names of the HPC cluster's VMs do"
                yield Problem(f"{path}.name", name, reason, "give one of the two another name (hpc.name)")


def _fault(command: str) -> tuple[str, str] | None:
    """Return reason and remedy where a command cannot be run as it stands."""
    try:
        words = shlex.split(command)
    except ValueError:
        return "has a quote without its pair", "close it"
    if not words:
        return "is empty", "write a command, or leave it out"
    if _SHELL.search(command):
        return "needs a shell, and commands are run without one", "put it into a script, and name that"
    return None
