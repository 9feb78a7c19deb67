"""Lays a played kernel over the one of the machine, inside the mount namespace of a private hypervisor."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from cluster.host.model import HostFacts, load_facts
from cluster.problems import InputError
from lab.hypervisor.cards import emulator, locked_memory, nvidia_smi
from lab.hypervisor.cards.places import BIN, FILES, HOME, IDENTITIES, REAL
from lab.hypervisor.needs import HypervisorError

EMULATOR = "qemu-system-x86_64"
STARTUP_S = 60.0
NOT_KNOWN = "[N/A]"


def play(folder: Path, cards: Path) -> None:
    """Play the PCI devices of a facts file to everything that runs in this mount namespace.

    ``folder`` is the private hypervisor's. Raises HypervisorError where this machine cannot do it.
    """
    facts = _facts(cards)
    (folder / FILES).mkdir(parents=True)
    (folder / BIN).mkdir()
    (folder / IDENTITIES).write_text(json.dumps(_identities(facts)))
    _serve(folder, cards)
    _lay_over(folder)
    _wrap_emulator(folder)
    _wrap_nvidia_smi(folder, facts)
    locked_memory.let_it_be_raised()
    os.environ["PATH"] = os.pathsep.join([str(folder / BIN), os.environ.get("PATH", os.defpath)])
    # libudev takes devices from a real sysfs only, unless it is told not to look.
    os.environ["SYSTEMD_DEVICE_VERIFY_SYSFS"] = "0"


def _facts(cards: Path) -> HostFacts:
    try:
        hosts = load_facts(cards)
    except InputError as error:
        raise HypervisorError(str(error)) from None
    if len(hosts) != 1:
        names = ", ".join(host.name for host in hosts) or "none"
        raise HypervisorError(f"{cards}: holds {len(hosts)} hosts ({names}), a kernel has one; give a file with one")
    return hosts[0]


def _identities(facts: HostFacts) -> dict[str, dict[str, str]]:
    """Return address -> what nvidia-smi tells of a GPU, under nvidia-smi's names of the fields."""
    return {
        gpu.address: {
            "pci.bus_id": f"0000{gpu.address.upper()}",
            "name": gpu.model,
            "serial": gpu.serial or NOT_KNOWN,
            "uuid": gpu.uuid or NOT_KNOWN,
            "compute_cap": gpu.compute_capability or NOT_KNOWN,
            "memory.total": str(gpu.memory) if gpu.memory else NOT_KNOWN,
        }
        for gpu in facts.gpus
    }


def _serve(folder: Path, cards: Path) -> None:
    """Start the process that plays the kernel, and wait until its files are there."""
    with (folder / HOME / "errors").open("w") as errors:
        command = [sys.executable, "-m", "lab.hypervisor.cards", str(folder), str(cards)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
    deadline = time.monotonic() + STARTUP_S
    while not os.path.ismount(folder / FILES):
        if process.poll() is not None or time.monotonic() > deadline:
            said = (folder / HOME / "errors").read_text().strip().splitlines()
            raise HypervisorError(
                f"the kernel for {cards} cannot be played: {said[-1] if said else 'it does not start'}; it needs "
                "/dev/fuse (modprobe fuse) and libfuse (Debian: apt-get install libfuse3-3)"
            )
        time.sleep(0.02)


def _lay_over(folder: Path) -> None:
    files = folder / FILES
    _open_up(Path("/sys/devices"), folder, ["cards"])
    _mount("--bind", files / "sys/devices/cards", "/sys/devices/cards")
    _mount("--bind", files / "sys/bus/pci", "/sys/bus/pci")
    if not Path("/sys/kernel/iommu_groups").exists():
        _open_up(Path("/sys/kernel"), folder, ["iommu_groups"])
    _mount("--bind", files / "sys/kernel/iommu_groups", "/sys/kernel/iommu_groups")
    if not Path("/dev/vfio").exists():
        _open_up(Path("/dev"), folder, ["vfio"])
    _mount("--bind", files / "dev/vfio", "/dev/vfio")


def _open_up(place: Path, folder: Path, names: Sequence[str]) -> None:
    """Put a folder in the place of one that takes no new entries: all of its own are in it, and ``names``."""
    own = folder / HOME / "own" / place.relative_to("/")
    own.mkdir(parents=True)
    _mount("--rbind", place, own)
    _mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", place)
    for name in names:
        (place / name).mkdir()
    for entry in own.iterdir():
        new = place / entry.name
        if entry.name == "ptmx":
            new.symlink_to("pts/ptmx")  # the device finds its file system beside itself only
        elif entry.is_symlink():
            new.symlink_to(entry.readlink())
        elif entry.is_dir():
            new.mkdir()
            _mount("--rbind", entry, new)
        else:
            new.touch()
            _mount("--bind", entry, new)


def _wrap_emulator(folder: Path) -> None:
    found = shutil.which(EMULATOR)
    if found is None:
        raise HypervisorError(f"{EMULATOR} is not on PATH")
    place = Path(found).resolve()
    real = folder / REAL / "bin" / EMULATOR
    real.parent.mkdir(parents=True)
    real.touch()
    for name in ("share", "lib", "libexec"):  # QEMU looks for its firmware and modules relative to itself
        if (place.parent.parent / name).exists():
            (folder / REAL / name).symlink_to(place.parent.parent / name)
    _mount("--bind", place, real)
    _mount("--bind", _script(folder / HOME / EMULATOR, emulator.__file__, real, folder / IDENTITIES, place), place)


def _wrap_nvidia_smi(folder: Path, facts: HostFacts) -> None:
    """Put a stand-in for nvidia-smi on PATH, and the sign that NVIDIA's driver is loaded where the facts have it."""
    _script(folder / BIN / "nvidia-smi", nvidia_smi.__file__, folder / IDENTITIES)
    if any(gpu.driver == "nvidia" for gpu in facts.gpus) and Path("/proc/driver").exists():
        _open_up(Path("/proc/driver"), folder, ["nvidia"])
        version = "NVRM version: stand-in for the NVIDIA kernel module, played\n"
        Path("/proc/driver/nvidia/version").write_text(version)


def _script(path: Path, program: str, *first: object) -> Path:
    """Write a command that runs one of our programs by the interpreter alone, with first arguments of ours."""
    words = shlex.join([sys.executable, "-I", "-S", program, *map(str, first)])
    path.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    path.chmod(0o755)
    return path


def _mount(*words: object) -> None:
    subprocess.run(["mount", *map(str, words)], check=True)
