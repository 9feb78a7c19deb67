"""A guest of 512 bytes that powers off when its power button is pressed: what a real one does, without an OS.

A stand-in for a guest, not for libvirt: ``virsh shutdown`` reaches it by ACPI, as it would reach Linux.
"""

from __future__ import annotations

from pathlib import Path

# Ports of QEMU's machine q35 with SeaBIOS: the ACPI registers begin at 0x600 (ICH9 data sheet, 13.8.3; ACPI 4.8.3).
_LISTING = """
fa          cli
31 c0       xor  %ax, %ax
8e d8       mov  %ax, %ds
8e d0       mov  %ax, %ss
bc 00 7c    mov  $0x7c00, %sp
ba 02 06    mov  $0x602, %dx      # PM1_EN
b8 00 01    mov  $0x100, %ax      # the power button is to be told
ef          out  %ax, (%dx)
fb          sti
f4          hlt                   # until the next tick of the clock
ba 00 06    mov  $0x600, %dx      # PM1_STS
ed          in   (%dx), %ax
a9 00 01    test $0x100, %ax      # pressed?
74 f6       je   hlt
ba 04 06    mov  $0x604, %dx      # PM1_CNT
b8 00 20    mov  $0x2000, %ax     # SLP_EN, sleep type 0: off
ef          out  %ax, (%dx)
eb ed       jmp  hlt
"""


def write_disk(path: Path) -> Path:
    """Write the guest's disk, a boot sector on 1 MiB, and return its path."""
    code = b"".join(bytes.fromhex(line[:12]) for line in _LISTING.splitlines())
    path.write_bytes((code.ljust(510, b"\0") + b"\x55\xaa").ljust(1 << 20, b"\0"))
    return path


# A boot sector that says the text behind it on the first serial port (COM1, 0x3f8), and halts.
_SPEAKER = "fc 31 c0 8e d8 be 16 7c ba f8 03 ac 84 c0 74 03 ee eb f8 f4 eb fd"


def write_speaking_disk(path: Path, text: str) -> Path:
    """Write a disk whose guest says some text on its serial console and nothing more; return its path."""
    code = bytes.fromhex(_SPEAKER) + text.encode() + b"\0"
    assert len(code) <= 510
    path.write_bytes((code.ljust(510, b"\0") + b"\x55\xaa").ljust(1 << 20, b"\0"))
    return path


def disk_xml(path: Path) -> str:
    """Return the XML of the disk."""
    return (
        "<disk type='file' device='disk'><driver name='qemu' type='raw'/>"
        f"<source file='{path}'/><target dev='vda' bus='virtio'/></disk>"
    )
