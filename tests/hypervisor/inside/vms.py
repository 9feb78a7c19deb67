"""VMs and virsh, for what runs in a private hypervisor."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence

from lab.hypervisor.cards import vm_xml
from lab.hypervisor.daemons import URI

PATIENCE_S = 60.0


def virsh(*words: str, check: bool = True, stdin: str | None = None) -> str:
    """Run virsh and return what it said: its output, or its complaint where ``check`` is off."""
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(
        ["virsh", "-q", "-c", URI, *words], capture_output=True, text=True, env=environment, input=stdin
    )
    assert done.returncode == 0 or not check, done.stderr
    return (done.stdout if done.returncode == 0 else done.stderr).strip()


def define(name: str, functions: Sequence[str]) -> str:
    """Define a VM that has PCI functions and return its name."""
    virsh("define", "/dev/stdin", stdin=vm_xml(name, functions))
    return name


def refusal(*words: str) -> str:
    """Return libvirt's words where it must refuse."""
    said = virsh(*words, check=False)
    assert said.startswith("error:"), said
    return said


def names() -> list[str]:
    """Return every VM that libvirt knows."""
    return virsh("list", "--all", "--name").split()


def until(true: Callable[[], object], what: str) -> None:
    """Wait for something that must come."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.05)
