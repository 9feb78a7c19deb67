"""Our base image, really built by Packer from a Debian made of packages, looked into and booted, in emulation."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.debian import built_image, stock_image
from lab.debian.boot import USER, Vm, booted
from lab.debian.disk import ROOT_START
from lab.debian.needs import BOOT, BUILD, MAKE, missing, path

LACKING = missing(MAKE, BUILD, BOOT, {"debugfs": "e2fsprogs"}, root=True)
pytestmark = [
    pytest.mark.daemon,
    pytest.mark.slow,
    pytest.mark.xdist_group("images"),
    pytest.mark.skipif(LACKING is not None, reason=str(LACKING)),
]

SIZE_BOUND = 1.10
"""Of the stock image: ours has packages more, and a smaller initramfs."""


class Disk:
    """The files of an image, read without mounting it."""

    def __init__(self, raw: Path) -> None:
        self.raw = f"{raw}?offset={ROOT_START}"

    def ask(self, command: str) -> str:
        words = ["debugfs", "-c", "-R", command, self.raw]
        return subprocess.run(words, capture_output=True, text=True, check=True, env={"PATH": path()}).stdout

    def read(self, name: str) -> str:
        assert self.has(name), name
        return self.ask(f"cat {name}")

    def has(self, name: str) -> bool:
        return "Inode:" in self.ask(f"stat {name}")

    def names(self, folder: str) -> set[str]:
        lines = self.ask(f"ls -p {folder}").splitlines()
        return {line.split("/")[5] for line in lines if line.startswith("/")} - {".", ".."}


@pytest.fixture(scope="module")
def image() -> Path:
    return built_image()


@pytest.fixture(scope="module")
def disk(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Disk:
    raw = tmp_path_factory.mktemp("disk") / "disk.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", image, raw], check=True)
    return Disk(raw)


@pytest.fixture(scope="module")
def vm(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vm]:
    with booted(image, tmp_path_factory.mktemp("vm"), instance="first") as each:
        each.wait_for_ssh()
        yield each


def test_the_disk_can_be_read(disk: Disk) -> None:
    assert "ID=debian\n" in disk.read("/etc/os-release") or disk.has("/usr/lib/os-release")
    assert {"etc", "usr", "var", "boot"} <= disk.names("/")


def test_no_identity_of_the_build_is_left(disk: Disk) -> None:
    assert disk.read("/etc/machine-id") == ""
    assert disk.read("/etc/hostname") == "localhost\n"
    assert "image-build" not in disk.read("/etc/hosts")
    assert not [name for name in disk.names("/etc/ssh") if name.startswith("ssh_host_")]
    gone = ("/var/lib/dbus/machine-id", "/var/lib/systemd/random-seed", "/var/lib/cloud")
    gone += ("/etc/netplan/50-cloud-init.yaml", "/etc/apt/apt.conf.d/99-image-build")
    assert [name for name in gone if disk.has(name)] == []
    empty = ("/var/lib/apt/lists", "/var/log/journal", "/tmp", "/var/tmp", "/var/lib/dhcp", "/var/lib/chrony")
    empty += ("/var/lib/systemd/timers", "/etc/netplan")
    assert {name: left for name in empty if disk.has(name) and (left := disk.names(name))} == {}
    assert disk.names("/var/cache/apt/archives") <= {"lock", "partial"}


def test_nobody_can_log_in_whom_the_seed_does_not_name(disk: Disk) -> None:
    assert disk.names("/home") == set()
    assert not disk.has("/root/.ssh")
    hashes = {line.split(":")[0]: line.split(":")[1] for line in disk.read("/etc/shadow").splitlines()}
    assert {name: value for name, value in hashes.items() if value.strip("!*")} == {}
    assert not disk.has("/etc/sudoers.d/90-cloud-init-users")


def test_logs_are_empty(disk: Disk) -> None:
    left = {name for name in disk.names("/var/log") if name.endswith(".log")}
    assert left == set()
    assert disk.names("/var/log/apt") == set()


def test_the_boot_waits_for_nobody_and_shows_itself(disk: Disk) -> None:
    menu = disk.read("/boot/grub/grub.cfg")
    assert "console=ttyS0,115200" in menu
    assert "set timeout=0" in menu
    assert "swap" not in disk.read("/etc/fstab")


def test_the_image_is_hardly_larger_than_what_it_was_made_from(image: Path) -> None:
    assert image.stat().st_size <= SIZE_BOUND * stock_image().stat().st_size


def test_a_second_build_does_nothing(image: Path) -> None:
    before = image.stat()
    assert built_image() == image
    after = image.stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_cloud_init_finishes_without_error(vm: Vm) -> None:
    assert "status: done" in vm.wait_for_cloud_init()
    assert vm.ssh("hostname").stdout == "first\n"
    assert vm.ssh("systemctl", "--failed", "--no-legend", "--plain").stdout == ""


def test_a_node_has_what_containerd_and_kubelet_expect(vm: Vm) -> None:
    modules = vm.ssh("cat", "/proc/modules").stdout
    assert {"overlay", "br_netfilter"} <= {line.split()[0] for line in modules.splitlines()}
    asked = ("net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables", "net.ipv4.ip_forward")
    assert vm.ssh("/sbin/sysctl", "-n", *asked).stdout.split() == ["1", "1", "1"]
    assert vm.ssh("cat", "/proc/swaps").stdout.count("\n") == 1
    tools = ("conntrack", "socat", "ebtables", "ethtool", "ipset", "iptables", "qemu-ga", "apparmor_parser", "curl")
    found = vm.ssh(
        f"PATH=$PATH:/sbin:/usr/sbin; for each in {' '.join(tools)}; do command -v $each >&2 || echo $each; done"
    )
    assert found.stdout == ""


def test_nothing_runs_by_itself_that_only_a_new_image_should_change(vm: Vm) -> None:
    timers = vm.ssh("systemctl", "list-timers", "--all", "--no-legend", "--plain").stdout
    assert "apt-daily" not in timers
    assert "e2scrub" not in timers
    assert vm.ssh("systemctl", "is-active", "chrony").stdout == "active\n"


def test_the_root_file_system_has_grown_to_its_disk(vm: Vm) -> None:
    size = vm.ssh("df", "--output=size", "-m", "/").stdout.split()[-1]
    assert int(size) > 3700


def test_nobody_gets_in_by_password(vm: Vm) -> None:
    said = vm.ssh("sudo", "/usr/sbin/sshd", "-T").stdout
    assert "passwordauthentication no\n" in said
    assert "kbdinteractiveauthentication no\n" in said
    options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes"]
    options += ["-o", "IdentitiesOnly=yes", "-o", "IdentityFile=/dev/null", "-p", str(vm.port)]
    tried = subprocess.run(["ssh", "-F", "none", *options, f"{USER}@127.0.0.1"], capture_output=True, text=True)
    assert "Permission denied (publickey)" in tried.stderr


def test_two_copies_are_two_machines(vm: Vm, image: Path, tmp_path: Path) -> None:
    asked = "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub"
    first = vm.ssh(asked).stdout.splitlines()
    vm.process.kill()  # the last test that needs it: two at once would take twice as long
    with booted(image, tmp_path / "vm", instance="second") as other:
        other.wait_for_ssh()
        second = other.ssh(asked).stdout.splitlines()
    assert len(first) == len(second) == 2
    assert len(first[0]) == len(second[0]) == 32
    assert first[0] != second[0]
    assert first[1].split()[1] != second[1].split()[1]
