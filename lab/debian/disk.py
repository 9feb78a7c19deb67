"""A folder with a Linux system becomes a disk that a BIOS boots: partitions, ext4, GRUB. No mount, no loop device.

So nothing is left behind on the machine however this ends, and its kernel need not know GPT.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import uuid
from pathlib import Path
from typing import Final

from lab.debian.needs import path

SECTOR: Final = 512
_MIB: Final = 2**20
_BOOT_START: Final = 1 * _MIB
ROOT_START: Final = 4 * _MIB
"""Where the root file system begins, in bytes."""
_BIOS_BOOT: Final = "21686148-6449-6E6F-744E-656564454649"
_LINUX_ROOT: Final = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"  # x86-64
_MODULES: Final = ("biosdisk", "part_gpt", "ext2", "search_fs_uuid", "normal", "linux", "serial", "terminal")

# Where GRUB's own setup writes, from its include/grub/i386/pc/boot.h: the boot sector names the first sector of the
# core image, whose last 12 bytes say where the rest of it lies and where it is loaded to.
_KERNEL_SECTOR: Final = 0x5C
_BOOT_CODE_END: Final = 0x1B8  # the disk's signature and the table of partitions follow
_DRIVE_CHECK: Final = 0x66
_BLOCK_LIST: Final = SECTOR - 12
_REST_SEGMENT: Final = 0x820


def make(root: Path, image: Path, size_mib: int, work: Path) -> None:
    """Write the folder's system to a compressed qcow2 ``image`` of ``size_mib``; ``work`` is a folder for steps
    between. The folder gets a boot loader's files and an ``/etc/fstab``.
    """
    raw, identity = work / "disk.raw", uuid.uuid4()
    _boot_files(root, identity)
    with raw.open("wb") as file:
        file.truncate(size_mib * _MIB)
    _partition(raw)
    _file_system(root, raw, identity, size_mib)
    _embed(root, raw)
    _run("qemu-img", "convert", "-c", "-m", "4", "-W", "-O", "qcow2", str(raw), str(image))
    raw.unlink()


def _boot_files(root: Path, identity: uuid.UUID) -> None:
    (root / "etc/fstab").write_text(f"UUID={identity} / ext4 rw,discard,errors=remount-ro,x-systemd.growfs 0 1\n")
    # What grub-install does beside the boot sectors.
    grub = root / "boot/grub"
    modules = grub / "i386-pc"
    modules.mkdir(parents=True, exist_ok=True)
    for file in (root / "usr/lib/grub/i386-pc").iterdir():
        if file.suffix in (".mod", ".lst"):
            shutil.copy(file, modules)
    kernel = max(path.name.removeprefix("vmlinuz-") for path in (root / "boot").glob("vmlinuz-*"))
    (grub / "grub.cfg").write_text(_menu(kernel, identity, _command_line(root)))
    (grub / "early.cfg").write_text(f"search.fs_uuid {identity} root\nset prefix=($root)/boot/grub\n")
    words = ("-O", "i386-pc", "-p", "/boot/grub", "-c", "/boot/grub/early.cfg", "-o", "/boot/grub/i386-pc/core.img")
    _run("chroot", str(root), "grub-mkimage", *words, *_MODULES)
    (grub / "early.cfg").unlink()
    shutil.copy(root / "usr/lib/grub/i386-pc/boot.img", modules)


def _command_line(root: Path) -> str:
    lines = (root / "etc/default/grub").read_text().splitlines()
    line = next(line for line in lines if line.startswith("GRUB_CMDLINE_LINUX="))
    return line.partition("=")[2].strip('"')


def _menu(kernel: str, identity: uuid.UUID, command_line: str) -> str:
    """Return the boot menu until the first ``update-grub`` in the system itself, and as that makes it."""
    return f"""\
serial --speed=115200
terminal_input console serial
terminal_output console serial
set default=0
set timeout=0
menuentry 'Debian GNU/Linux' {{
  search --no-floppy --fs-uuid --set=root {identity}
  linux /boot/vmlinuz-{kernel} root=UUID={identity} ro {command_line}
  initrd /boot/initrd.img-{kernel}
}}
"""


def _partition(raw: Path) -> None:
    # Number 1 is the root file system and lies last, so that it can grow; numbers as in Debian's images.
    table = (
        "label: gpt\n"
        f"14: start={_BOOT_START // SECTOR}, size={(ROOT_START - _BOOT_START) // SECTOR}, type={_BIOS_BOOT}\n"
        f"1: start={ROOT_START // SECTOR}, type={_LINUX_ROOT}\n"
    )
    _run("sfdisk", "--quiet", str(raw), text=table)


def _file_system(root: Path, raw: Path, identity: uuid.UUID, size_mib: int) -> None:
    # 1 MiB at the end is GPT's second table. Features of ext4 that GRUB 2.06 cannot read are left out.
    blocks = f"{size_mib - ROOT_START // _MIB - 1}M"
    features = "^metadata_csum_seed,^orphan_file"
    words = ("-q", "-F", "-t", "ext4", "-O", features, "-E", f"offset={ROOT_START},lazy_itable_init=0", "-m", "1")
    _run("mke2fs", *words, "-U", str(identity), "-d", str(root), str(raw), blocks)


def _embed(root: Path, raw: Path) -> None:
    """Write GRUB's two boot stages, as ``grub-bios-setup`` does: the first into the boot sector, the second into the
    partition for it.
    """
    modules = root / "boot/grub/i386-pc"
    boot, core = bytearray((modules / "boot.img").read_bytes()), bytearray((modules / "core.img").read_bytes())
    first = _BOOT_START // SECTOR
    sectors = -(-len(core) // SECTOR)
    if sectors * SECTOR > ROOT_START - _BOOT_START:
        raise ValueError(f"GRUB's core image of {len(core)} bytes does not fit into its partition")
    struct.pack_into("<Q", boot, _KERNEL_SECTOR, first)
    boot[_DRIVE_CHECK : _DRIVE_CHECK + 2] = b"\x90\x90"  # for a BIOS that does not say which drive it booted
    struct.pack_into("<QHH", core, _BLOCK_LIST, first + 1, sectors - 1, _REST_SEGMENT)
    with raw.open("r+b") as disk:
        disk.write(boot[:_BOOT_CODE_END])
        disk.seek(_BOOT_START)
        disk.write(core)


def _run(*words: str, text: str | None = None) -> None:
    environment = {"PATH": path(), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(words, input=text, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
