"""A VM under plain QEMU in emulation: user networking, a NoCloud seed, SSH on a loopback port. For tests and the bench.

Nothing of it needs root, and nothing outlives the process that started it.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.debian.needs import BOOT, ImageError, missing, path

USER: Final = "cloud"
PATIENCE_S: Final = 600.0
"""An emulated boot takes about a minute on an idle machine; a busy one needs its time."""

_USER_DATA = """\
#cloud-config
users:
  - name: {user}
    shell: /bin/bash
    sudo: "ALL=(ALL) NOPASSWD:ALL"
    lock_passwd: true
    ssh_authorized_keys:
      - "{key}"
disable_root: true
ssh_pwauth: false
"""
_NETWORK = """\
version: 2
ethernets:
  primary:
    match:
      macaddress: "{mac}"
    addresses: ["10.0.2.15/24"]
    routes:
      - to: 0.0.0.0/0
        via: 10.0.2.2
    nameservers:
      addresses: ["10.0.2.3"]
"""
_MAC = "52:54:00:12:34:56"


@dataclass(frozen=True)
class Vm:
    """A running VM: its folder (disk, seed, key, ``console.log``), process, SSH port, and when it was started, by the
    monotonic clock.
    """

    folder: Path
    process: subprocess.Popen[bytes]
    port: int
    started: float

    def ssh(self, *words: str, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run a command in the VM as its user and return what came of it; 255 is SSH's own failure."""
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes", "LogLevel=ERROR"]
        options += [f"ConnectTimeout={timeout:.0f}", f"IdentityFile={self.folder / 'key'}", "IdentitiesOnly=yes"]
        command = [
            "ssh",
            "-F",
            "none",
            *(word for option in options for word in ("-o", option)),
            "-p",
            str(self.port),
            f"{USER}@127.0.0.1",
            *words,
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)

    def wait_for_ssh(self, patience: float = PATIENCE_S) -> float:
        """Wait until a login with the key succeeds; return the seconds since the start.

        Raises ImageError with the end of the console where that does not come about.
        """
        deadline = self.started + patience
        while time.monotonic() < deadline and self.process.poll() is None:
            # QEMU itself takes the connection long before the VM does: only the server's greeting says something.
            if _greeting(self.port).startswith(b"SSH-") and self.ssh("true").returncode == 0:
                return time.monotonic() - self.started
            time.sleep(0.2)
        tail = "\n".join(self.console().splitlines()[-25:])
        raise ImageError(f"no login by SSH within {patience:.0f} s; the end of the console:\n{tail}")

    def wait_for_cloud_init(self, patience: float = PATIENCE_S) -> str:
        """Wait until cloud-init is through and return its status in words. Call it after a login.

        Raises ImageError where it is not through in time. It restarts the SSH server on its way, in some images.
        """
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and self.process.poll() is None:
            done = self.ssh("cloud-init", "status", "--wait", "--long", timeout=patience)
            if done.returncode != 255:
                return done.stdout
            time.sleep(0.5)
        raise ImageError(f"cloud-init is not through within {patience:.0f} s")

    def processor_time(self) -> float:
        """Return the processor time that QEMU has used, in seconds."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def console(self) -> str:
        """Return what the VM wrote to its serial console."""
        return (self.folder / "console.log").read_text(errors="replace")

    def power_off(self, patience: float = 120.0) -> None:
        """Shut the system down and wait for the end of QEMU; a disk that is to be read afterwards needs it."""
        self.ssh("sudo", "systemctl", "poweroff")
        self.process.wait(patience)


@contextmanager
def booted(
    image: Path, folder: Path, *, instance: str = "vm", memory_mib: int = 1024, cores: int = 2, more: Sequence[str] = ()
) -> Iterator[Vm]:
    """Boot a copy-on-write overlay of an image and end it with the block. ``more`` are further words for QEMU.

    Raises ImageError where this machine lacks the tools.
    """
    if reason := missing(BOOT):
        raise ImageError(f"no image can be booted on this machine: {reason}")
    folder.mkdir(parents=True, exist_ok=True)
    disk, seed, port = folder / "disk.qcow2", _seed(folder, instance), _free_port()
    _quiet("qemu-img", "create", "-q", "-f", "qcow2", "-b", str(image.resolve()), "-F", "qcow2", str(disk))
    words = [*_machine(cores, memory_mib), *_devices(folder, disk, seed, port), *more]
    (folder / "console.log").touch()
    with (folder / "qemu.log").open("wb") as log:
        # The kernel ends QEMU with its parent, should that be killed.
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={"PATH": path()},
        )
    try:
        yield Vm(folder, process, port, time.monotonic())
    finally:
        process.kill()
        process.wait()


def _machine(cores: int, memory_mib: int) -> list[str]:
    # Never KVM: the figures are compared with those of machines that have none.
    kind = ["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-nodefaults", "-display", "none"]
    return [*kind, "-smp", str(cores), "-m", str(memory_mib)]


def _devices(folder: Path, disk: Path, seed: Path, port: int) -> list[str]:
    drives = (f"if=virtio,file={disk},cache=unsafe", f"if=virtio,media=cdrom,file={seed},readonly=on")
    return [
        *(word for drive in drives for word in ("-drive", drive)),
        *("-serial", f"file:{folder / 'console.log'}"),
        *("-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{port}-:22"),
        *("-device", f"virtio-net-pci,netdev=net,mac={_MAC}"),
        *("-device", "virtio-rng-pci"),
    ]


def _seed(folder: Path, instance: str) -> Path:
    """Write the NoCloud seed, with a new key for logging in, and return the ISO file."""
    key, seed = folder / "key", folder / "seed"
    if not key.exists():
        _quiet("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(key))
    seed.mkdir(exist_ok=True)
    public = key.with_suffix(".pub").read_text().strip()
    (seed / "user-data").write_text(_USER_DATA.format(user=USER, key=public))
    (seed / "meta-data").write_text(f"instance-id: {instance}\nlocal-hostname: {instance}\n")
    (seed / "network-config").write_text(_NETWORK.format(mac=_MAC))
    iso = folder / "seed.iso"
    _quiet("genisoimage", "-quiet", "-volid", "cidata", "-joliet", "-rock", "-output", str(iso), str(seed))
    return iso


def _free_port() -> int:
    with closing(socket.socket()) as each:
        each.bind(("127.0.0.1", 0))
        return int(each.getsockname()[1])


def _greeting(port: int) -> bytes:
    try:
        with closing(socket.create_connection(("127.0.0.1", port), timeout=2)) as each:
            each.settimeout(10)
            return each.recv(64)
    except OSError:
        return b""


def _quiet(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        raise ImageError(f"{' '.join(words)}: {done.stderr.strip()}")
