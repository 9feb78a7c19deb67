"""The inside of a private hypervisor: its own libvirt folders, a libvirtd and a virtlogd, then the command."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from lab.hypervisor.needs import MARK, HypervisorError

URI = "qemu:///system"
STARTUP_S = 60.0

# What libvirt would keep to itself, it may not share with a libvirtd of the machine's own.
PRIVATE = ("/etc/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt")

# Set where a kernel is played: libudev is not to insist on a real sysfs.
PASSED_ON = ("SYSTEMD_DEVICE_VERIFY_SYSFS",)

QEMU_CONF = """\
user = "root"
group = "root"
security_driver = "none"
cgroup_controllers = []
namespaces = []
remember_owner = 0
"""

LIBVIRTD_CONF = """\
unix_sock_group = "root"
unix_sock_ro_perms = "0777"
unix_sock_rw_perms = "0700"
auth_unix_ro = "none"
auth_unix_rw = "none"
"""


def serve(folder: Path, command: Sequence[str], cards: Path | None = None) -> int:
    """Set the world up, run the command in it and return its exit status; to be run as process 1 of its namespace.

    Process 1 inherits every orphan, QEMU's processes among them, and must bury them: to libvirt one that nobody
    waited for seems to be alive. So this process does only that, and a child of it the work.
    """
    child = os.fork()
    if child == 0:
        os._exit(_work(folder, command, cards))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    while True:
        pid, status = os.wait()
        if pid == child:
            return os.waitstatus_to_exitcode(status) & 0xFF


def _work(folder: Path, command: Sequence[str], cards: Path | None) -> int:
    try:
        _mounts(folder)
        if cards:
            from lab.hypervisor.cards import play  # only this needs the facts' models

            play(folder, cards)
        start()
    except (HypervisorError, OSError, subprocess.CalledProcessError) as error:
        print(f"error: the private hypervisor did not start: {error}", flush=True)
        return 3
    environment = {**os.environ, MARK: str(folder), "PATH": _path()}
    try:
        status = subprocess.run(command, env=environment, check=False).returncode
    except OSError as error:
        print(f"error: {command[0]}: {error.strerror}", flush=True)
        return 127
    return status if status >= 0 else 128 - status


def _mounts(folder: Path) -> None:
    for number, place in enumerate(PRIVATE):
        private = folder / str(number)
        private.mkdir()
        if place == "/etc/libvirt":
            shutil.copytree(place, private, dirs_exist_ok=True, symlinks=True)
        Path(place).mkdir(parents=True, exist_ok=True)
        _mount("--bind", str(private), place)
    _mount("-t", "tmpfs", "tmpfs", "/run")
    if Path("/dev/kvm").exists():
        # A KVM that hangs its guests is worse than none: libvirt would try it at every start. It takes for usable what
        # root may write to; an ordinary file in its place would be tried anew at every look at QEMU's capabilities.
        no_kvm = folder / "no-kvm"
        no_kvm.touch()
        _mount("--bind", "-o", "ro", str(no_kvm), "/dev/kvm")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    Path("/etc/libvirt/qemu.conf").write_text(QEMU_CONF)
    Path("/etc/libvirt/libvirtd.conf").write_text(LIBVIRTD_CONF)
    shutil.rmtree("/etc/libvirt/qemu", ignore_errors=True)  # VMs and networks of the machine's own


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def start() -> None:
    """Start virtlogd and libvirtd where they do not run, and wait until libvirt answers. Raises HypervisorError."""
    for name in ("virtlogd", "libvirtd"):
        if pid_of(name) is None:
            environment = {"PATH": _path(), **{key: os.environ[key] for key in PASSED_ON if key in os.environ}}
            done = subprocess.run([name, "--daemon"], capture_output=True, text=True, env=environment)
            if done.returncode != 0:
                raise HypervisorError(f"{name}: {done.stderr.strip() or done.returncode}")
    deadline = time.monotonic() + STARTUP_S
    while True:
        asked = subprocess.run(["virsh", "-c", URI, "version"], capture_output=True, text=True)
        if asked.returncode == 0:
            return
        if time.monotonic() > deadline:
            raise HypervisorError(f"libvirtd does not answer: {asked.stderr.strip()}")
        time.sleep(0.2)


def stop(name: str = "libvirtd", *, kill: bool = False) -> None:
    """End a daemon of this hypervisor, as a crash where ``kill``; its VMs go on, as they do on a real host."""
    if not os.environ.get(MARK):
        raise HypervisorError("not inside a private hypervisor: a libvirtd of the machine's own is left alone")
    pid = pid_of(name)
    if pid is None:
        return
    os.kill(pid, signal.SIGKILL if kill else signal.SIGTERM)
    while pid_of(name) is not None:
        time.sleep(0.05)


def pid_of(name: str) -> int | None:
    """Return the process id of a daemon of this hypervisor, or None where it does not run."""
    try:
        pid = int(Path(f"/run/{name}.pid").read_text())
        running = Path(f"/proc/{pid}/comm").read_text().strip() == name
        ended = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, ValueError, IndexError):
        return None
    return pid if running and not ended else None


def _path() -> str:
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
