"""Give a VM the size that the settings say, whatever it has now: disk, vCPUs, memory, and the host CPUs it runs on.

Environment: VM, UUID, URI, POOL, VOLUME (its disk in the pool), CORES, MEMORY_MIB, DISK_MIB; CPU_PINNING (host CPUs in
the order of the vCPUs, with spaces; empty: the host's scheduler decides), SHUTDOWN_TIMEOUT (seconds, default 300);
KUBECONFIG_FILE (of a worker: the stack's kubeconfig, if there is one by now: its pods leave before it restarts).

A disk grows while the VM runs, and never shrinks. vCPUs and memory are set for the next start; the VM is then asked to
shut down, and started. Nothing is forced. Every step looks at what is there, so the script can be killed anywhere and
run again. It prints the size that the VM then has, and nothing else, so that an equal size prints an equal line.
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET  # what libvirt itself wrote
from collections.abc import Mapping
from dataclasses import dataclass

from components.scripts.node import Node
from components.scripts.tools import ScriptError, Tools, Virsh, carry_out

DISK = "vda"
ASK_AGAIN_S = 30.0
"""A guest that is still booting does not hear the power button: it is pressed again."""

_KIB = {"bytes": 1 / 1024, "b": 1 / 1024, "KiB": 1, "k": 1, "MiB": 1024, "M": 1024, "GiB": 1024**2, "G": 1024**2}


@dataclass(frozen=True)
class Size:
    """What a VM has or is to have of vCPUs and memory; ``current`` differs where it was given less than its most."""

    cores: int
    memory_kib: int
    current: tuple[int, int]
    pins: tuple[str, ...] = ()

    @classmethod
    def of(cls, cores: int, memory_kib: int) -> Size:
        """Return a size that is given whole."""
        return cls(cores, memory_kib, (cores, memory_kib))

    def is_as(self, other: Size) -> bool:
        """Whether two sizes are the same, pinning aside."""
        return (self.cores, self.memory_kib, self.current) == (other.cores, other.memory_kib, other.current)


def resize(tools: Tools, environment: Mapping[str, str]) -> str:
    """Do what the module says; return the line that names the size. Raises ScriptError with the remedy."""
    virsh = Virsh.told(tools, environment)
    state = virsh.state()
    if state is None:
        raise ScriptError(virsh.missing)
    cores, memory_mib, disk_mib = (int(environment[key]) for key in ("CORES", "MEMORY_MIB", "DISK_MIB"))
    pins = tuple(environment.get("CPU_PINNING", "").split())
    _grow_disk(virsh, state, environment["POOL"], environment["VOLUME"], disk_mib * 1024 * 1024)
    wanted = Size.of(cores, memory_mib * 1024)
    _configure(virsh, wanted)
    _pin(virsh, pins, cores, live=False)
    if state != "shut off" and not _read(virsh, live=True).is_as(wanted):
        if worker := Node.told(tools, environment):
            worker.leave()
        _shut_down(virsh, float(environment.get("SHUTDOWN_TIMEOUT", "300")))
    if virsh.state() == "shut off":
        _start(virsh)
    _pin(virsh, pins, cores, live=True)
    where = f" on host CPUs {' '.join(pins)}" if pins else ""
    return f"{virsh.vm}: {cores} vCPUs{where}, {memory_mib} MiB of memory, {disk_mib} MiB of disk"


def _grow_disk(virsh: Virsh, state: str, pool: str, volume: str, wanted: int) -> None:
    running = state != "shut off"
    have = _disk_bytes(virsh, running, pool, volume)
    if have > wanted:
        raise ScriptError(
            f"{virsh.vm}: its disk has {_gib(have)}, the settings say {_gib(wanted)}: a disk never shrinks, it would"
            f" lose what lies beyond; write disk: {_gib(have)} or more, or make a smaller VM under another name"
        )
    if have == wanted:
        return
    virsh.tools.say(f"{virsh.vm}: disk {_gib(have)} -> {_gib(wanted)}")
    if running:
        virsh.must("blockresize", virsh.uuid, DISK, f"{wanted}B")
    else:
        virsh.must("vol-resize", "--pool", pool, volume, f"{wanted}B")
    virsh.ask("pool-refresh", pool)


def _disk_bytes(virsh: Virsh, running: bool, pool: str, volume: str) -> int:
    """Return a disk's size; of a running VM as its QEMU has it, for libvirt's own note of the volume may be older."""
    if not running:
        virsh.ask("pool-refresh", pool)
    words = ("domblkinfo", virsh.uuid, DISK) if running else ("vol-info", "--bytes", "--pool", pool, volume)
    found = re.search(r"^Capacity:\s+(\d+)", virsh.must(*words), re.MULTILINE)
    if not found:
        raise ScriptError(f"{virsh.vm}: virsh {words[0]} does not tell the size of its disk")
    return int(found[1])


def _gib(size: int) -> str:
    mib = size // 1024**2
    return f"{mib // 1024}GiB" if mib % 1024 == 0 else f"{mib}MiB"


def _read(virsh: Virsh, *, live: bool) -> Size:
    root = ET.fromstring(virsh.must("dumpxml", virsh.uuid, *(() if live else ("--inactive",))))  # noqa: S314
    vcpu, memory = root.find("vcpu"), _kib(root.find("memory"))
    cores = int(vcpu.text or 1) if vcpu is not None else 1
    current = int(vcpu.get("current", cores)) if vcpu is not None else cores
    least = _kib(root.find("currentMemory"))
    pinned = {each.get("vcpu"): each.get("cpuset", "") for each in root.findall("cputune/vcpupin")}
    pins = tuple(pinned.get(str(number), "") for number in range(cores)) if pinned else ()
    # What runs may have been given less by its balloon, which is no reason to start it anew.
    return Size(cores, memory, (current, memory if live or least is None else least), pins)


def _kib(element: ET.Element | None) -> int:
    if element is None or not element.text:
        return 0
    return int(int(element.text) * _KIB[element.get("unit", "KiB")])


def _configure(virsh: Virsh, wanted: Size) -> None:
    """Set vCPUs and memory for the next start: the most first where there is to be more, last where less."""
    have = _read(virsh, live=False)
    if have.is_as(wanted):
        return
    virsh.tools.say(f"{virsh.vm}: {have.cores} -> {wanted.cores} vCPUs, {have.memory_kib} -> {wanted.memory_kib} KiB")
    flags = (("--maximum", "--config"), ("--config",))
    for each in flags if wanted.cores > have.cores else flags[::-1]:
        virsh.must("setvcpus", virsh.uuid, str(wanted.cores), *each)
    verbs = ("setmaxmem", "setmem")
    for verb in verbs if wanted.memory_kib > have.memory_kib else verbs[::-1]:
        virsh.must(verb, virsh.uuid, f"{wanted.memory_kib}KiB", "--config")
    if not _read(virsh, live=False).is_as(wanted):
        raise ScriptError(
            f"{virsh.vm}: libvirt has not taken the new size; see: virsh -c {virsh.uri} dumpxml {virsh.vm}"
        )


def _pin(virsh: Virsh, pins: tuple[str, ...], cores: int, *, live: bool) -> None:
    have = _read(virsh, live=live).pins
    if have == pins:
        return
    for number in range(cores):
        if not pins or have[number : number + 1] != (pins[number],):
            where = pins[number] if pins else "r"  # r: any CPU of the host
            virsh.must("vcpupin", virsh.uuid, str(number), where, "--live" if live else "--config")


def _shut_down(virsh: Virsh, patience_s: float) -> None:
    virsh.tools.say(f"{virsh.vm}: shutting down, to start with its new size")
    begun = virsh.tools.elapsed()
    asked = -ASK_AGAIN_S
    while (state := virsh.state()) != "shut off":
        waited = virsh.tools.elapsed() - begun
        if state is None:
            raise ScriptError(virsh.missing)
        if state == "paused":
            raise ScriptError(
                f"{virsh.vm} is paused, so it cannot shut down; often its pool is full; once that is mended:"
                f" virsh -c {virsh.uri} resume {virsh.vm}, and then the update again"
            )
        if waited >= patience_s:
            raise ScriptError(
                f"{virsh.vm} has not shut down within {patience_s:g} s, and runs on with its old size; nothing was"
                f" forced. Look why: virsh -c {virsh.uri} console {virsh.vm}; or pull the plug, at the cost of what it"
                f" was writing: virsh -c {virsh.uri} destroy {virsh.vm}; then the update again"
            )
        if waited - asked >= ASK_AGAIN_S:
            virsh.ask("shutdown", virsh.uuid)
            asked = waited
        virsh.tools.sleep(2)


def _start(virsh: Virsh) -> None:
    done = virsh.ask("start", virsh.uuid, timeout_s=300)
    if done.status != 0 and virsh.state() != "running":
        raise ScriptError(
            f"{virsh.vm} is shut off and does not start: {done.last}; make room on the host or lower its size, and run"
            " the update again"
        )


if __name__ == "__main__":
    sys.exit(carry_out(resize))
