"""Every command that a flip types, as words; a dry run prints these and a real one runs the very same."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import PurePath

from cluster.flip.model import Vm
from cluster.render.inference_service import NAMESPACE, STOP

Command = tuple[str, ...]

SERVICE_LABEL = "serving.kserve.io/inferenceservice"
"""Label that KServe puts on a service's pods, with the service's name."""


def virsh(uri: str, *words: str) -> Command:
    """Return a virsh command for a host."""
    return ("virsh", "-c", uri, *words)


def hpc(command: str, vm: Vm) -> Command:
    """Return a command of the settings for one of the HPC cluster's VMs; a bare virsh is sent to the VM's host."""
    words = shlex.split(command)
    asked = any(word == "-c" or word.startswith("--connect") for word in words)
    if PurePath(words[0]).name == "virsh" and not asked:
        words[1:1] = ["-c", vm.uri]
    return (*words, vm.name)


def shutdown(vm: Vm, hpc_stop: str) -> Command:
    """Return the command that asks a VM to power off."""
    return virsh(vm.uri, "shutdown", vm.name) if vm.side == "cloud" else hpc(hpc_stop, vm)


def start(vm: Vm, hpc_start: str) -> Command:
    """Return the command that starts a VM."""
    return virsh(vm.uri, "start", vm.name) if vm.side == "cloud" else hpc(hpc_start, vm)


def autostart(vm: Vm, *, on: bool) -> Command:
    """Return the command that makes a VM start with its host, or not."""
    return virsh(vm.uri, "autostart", vm.name, *([] if on else ["--disable"]))


def may_repeat(command: Command) -> bool:
    """Whether a shutdown may be asked for again: a guest that is still booting does not hear the first one."""
    return PurePath(command[0]).name == "virsh" and "shutdown" in command


def kubectl(kubeconfig: str, *words: str) -> Command:
    """Return a kubectl command for the stack's cluster."""
    return ("kubectl", "--kubeconfig", kubeconfig, *words)


def mark(kubeconfig: str, service: str, *, stop: bool) -> Command:
    """Return the command that stops a model's service, or lets it run again."""
    change = [f"{STOP}=true", "--overwrite"] if stop else [f"{STOP}-"]
    return kubectl(kubeconfig, "-n", NAMESPACE, "annotate", "inferenceservice", service, *change)


def cordon(kubeconfig: str, node: str, *, on: bool) -> Command:
    """Return the command that keeps new pods from a node, or lets them in again."""
    return kubectl(kubeconfig, "cordon" if on else "uncordon", node)


def drain(kubeconfig: str, node: str, seconds: float) -> Command:
    """Return the command that empties a node, politely and for so long at most."""
    limits = ["--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={seconds:.0f}s"]
    return kubectl(kubeconfig, "drain", node, *limits)


def text(commands: Sequence[Command]) -> list[str]:
    """Return commands as one would type them."""
    return [shlex.join(command) for command in commands]
