"""What the stock image is made of: Debian 12's packages and the few files that Debian's own cloud image adds to them.

It stands in for a distribution's cloud image where none can be downloaded. Nothing is taken away from what packages
do by themselves, and nothing is there that only our images have: it is also what our images' boot is compared with.
Sources: the package ``grub-cloud-amd64`` for the boot loader's settings; Debian's ``genericcloud`` images for no wait
in the boot menu, the partitions' numbers, netplan with systemd-networkd, and growing the root file system.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

SUITE: Final = "bookworm"

PACKAGES: Final = (
    *("systemd-sysv", "libpam-systemd", "dbus", "udev", "kmod"),
    *("systemd-resolved", "systemd-timesyncd", "netplan.io", "iproute2", "iputils-ping", "netbase"),
    *("linux-image-cloud-amd64", "initramfs-tools", "zstd", "grub-pc-bin", "grub2-common"),
    *("openssh-server", "sudo", "ca-certificates", "less", "locales", "python3", "apt-utils"),
    *("cloud-init", "cloud-guest-utils", "gdisk", "fdisk", "e2fsprogs", "unattended-upgrades"),
)

GRUB_DEFAULTS: Final = """\
GRUB_DEFAULT=0
GRUB_TIMEOUT=0
GRUB_DISTRIBUTOR=Debian
GRUB_CMDLINE_LINUX_DEFAULT=""
GRUB_CMDLINE_LINUX="console=tty0 console=ttyS0,115200 earlyprintk=ttyS0,115200 consoleblank=0"
GRUB_TERMINAL="console serial"
GRUB_SERIAL_COMMAND="serial --speed=115200"
"""

DISK_MIB: Final = 3072
"""Virtual size, that of Debian's own cloud images."""


@dataclass(frozen=True)
class Recipe:
    """Everything that shapes the stock image. ``sources`` and ``settings`` are lines of apt's configuration in it."""

    sources: Sequence[str]
    settings: Sequence[str]
    suite: str = SUITE
    packages: Sequence[str] = PACKAGES
    disk_mib: int = DISK_MIB
    format: int = 1  # to be raised when disk.py or stock.py makes another image of the same recipe
    files: Mapping[str, str] = field(default_factory=lambda: FILES)

    @property
    def digest(self) -> str:
        """12 hex digits that stand for the recipe: change anything and the image is another."""
        text = json.dumps(self.__dict__, sort_keys=True, default=list)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


FILES: Final[Mapping[str, str]] = {
    "/etc/hostname": "localhost\n",
    "/etc/hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n",
    "/etc/default/locale": "LANG=C.UTF-8\n",
    "/etc/default/grub": GRUB_DEFAULTS,
    # As in Debian's images: the name's entry in /etc/hosts is cloud-init's.
    "/etc/cloud/cloud.cfg.d/01_debian_cloud.cfg": "apt_preserve_sources_list: true\nmanage_etc_hosts: true\n",
}
"""Files of the image by their path in it."""
