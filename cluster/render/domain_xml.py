"""What the libvirt provider has no input for, as XSLT over the XML that it makes.

terraform-provider-libvirt 0.8 knows no hostdev, no PCI controller, no huge pages and no log of a console, accepts
``metadata`` without writing it, asks for the path of a firmware image, puts the cloud-init disk on IDE, which machine
q35 lacks, and always adds a SPICE display, which not every QEMU is built with. That disk goes to virtio SCSI, not SATA:
Debian's kernel for clouds has no driver for AHCI, and without its disk a VM would come up as nobody's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal
from xml.sax.saxutils import escape

from cluster.types import MIB_PER_GIB, pci_parts

OWNER_NAMESPACE = "urn:inference-cloud:owner"
QEMU_NAMESPACE = "http://libvirt.org/schemas/domain/qemu/1.0"

LAYOUT = 1
"""Part of every VM's shape. Raise it only for a change of this file that VMs which stand cannot do without: it makes
every VM of every stack anew. Any other change reaches a VM when it is made anew for a reason of its own."""

CARD_WINDOW_MIB = 128 * MIB_PER_GIB
"""Address space for one card where there are several: the largest cards of today map up to 128 GiB of memory."""

_PAGE_KIB = {"2MiB": 2048, "1GiB": 1024 * 1024}

_SHEET = """\
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:output omit-xml-declaration="yes"/>
  <xsl:template match="@*|node()">
    <xsl:copy><xsl:apply-templates select="@*|node()"/></xsl:copy>
  </xsl:template>
  <xsl:template match="/{root}">
    <xsl:copy>
      <xsl:apply-templates select="@*"/>
      <uuid>{uuid}</uuid>{head}
      <xsl:apply-templates select="node()[not(self::uuid or self::metadata)]"/>{tail}
    </xsl:copy>
  </xsl:template>{more}
</xsl:stylesheet>
"""

_METADATA = """
      <metadata>
        <inference-cloud:vm xmlns:inference-cloud="{namespace}">{entries}
        </inference-cloud:vm>
      </metadata>"""

_CLOCK = """
      <clock offset="utc">
        <timer name="rtc" tickpolicy="catchup"/>
        <timer name="pit" tickpolicy="delay"/>
        <timer name="hpet" present="no"/>
      </clock>"""

_HUGE_PAGES = """
      <memoryBacking><hugepages><page size="{kib}" unit="KiB"/></hugepages></memoryBacking>"""

_FIRMWARE = """
  <xsl:template match="/domain/os">
    <xsl:copy>
      <xsl:attribute name="firmware">efi</xsl:attribute>
      <xsl:apply-templates select="@*|node()"/>
      <firmware>
        <feature enabled="no" name="secure-boot"/>
        <feature enabled="no" name="enrolled-keys"/>
      </firmware>
    </xsl:copy>
  </xsl:template>"""

_DEVICES = """
  <xsl:template match="/domain/devices/graphics|/domain/devices/video|/domain/devices/console"/>
  <xsl:template match="/domain/devices/disk[@device='cdrom']/target">
    <target dev="sda" bus="scsi"/>
  </xsl:template>
  <xsl:template match="/domain/devices">
    <xsl:copy>
      <xsl:apply-templates select="@*|node()"/>
      <controller type="scsi" index="0" model="virtio-scsi"/>
      <serial type="pty">
        <log file="{log}" append="on"/>
        <target type="isa-serial" port="0"/>
      </serial>{more}
    </xsl:copy>
  </xsl:template>"""

_WINDOW = """
      <controller type="pci" index="0" model="pcie-root">
        <pcihole64 unit="KiB">{kib}</pcihole64>
      </controller>"""

_OVMF_WINDOW = """
      <qemu:commandline xmlns:qemu="{namespace}">
        <qemu:arg value="-fw_cfg"/>
        <qemu:arg value="name=opt/ovmf/X-PciMmio64Mb,string={mib}"/>
      </qemu:commandline>"""

_NO_BALLOON = """
      <memballoon model="none"/>"""

_PORT = """
      <controller type="pci" index="{index}" model="pcie-root-port"/>"""

_HOSTDEV = """
      <hostdev mode="subsystem" type="pci" managed="yes">
        <source>
          <address domain="0x{0:04x}" bus="0x{1:02x}" slot="0x{2:02x}" function="0x{3:x}"/>
        </source>
        <address type="pci" domain="0x0000" bus="0x{bus:02x}" slot="0x00" function="0x{guest:x}"{multi}/>
      </hostdev>"""


@dataclass(frozen=True)
class Definition:
    """A VM as only its making can set it; what can be changed later (cores, memory, disk, pinning) is not in here.

    ``functions`` holds for each GPU all PCI functions that move with it. ``window_mib`` is the address space for the
    cards' memory, 0 for what the machine has by itself. ``image`` is the digest of the image it boots from, ``network``
    the name of its network with its own address and prefix, ``emulated`` says that there is no KVM.
    """

    uuid: str
    name: str
    owner: str
    role: str
    image: str
    pool: str
    pool_path: str
    network: str
    emulated: bool = False
    machine_type: str = "q35"
    firmware: Literal["bios", "uefi"] = "bios"
    cpu_mode: str = "host-passthrough"
    hugepages: str | None = None
    window_mib: int = 0
    functions: tuple[tuple[str, ...], ...] = ()

    @property
    def shape(self) -> str:
        """Twelve hex digits that stand for all of this but the image: with other ones the VM has to be made anew."""
        parts = asdict(self)
        del parts["image"]
        text = json.dumps({"layout": LAYOUT, **parts}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def console(self) -> str:
        """The file in its pool's folder that libvirt writes the serial console to."""
        return console_log(self.name)


def console_log(name: str) -> str:
    """Return the volume that holds a VM's serial console; the logger renames full ones to ``NAME.0``, ``NAME.1``..."""
    return f"console-{name}.log"


def window_mib(cards: int, wanted: Literal["auto"] | int) -> int:
    """Return the address space for the memory of some cards, in MiB; 0: what the machine has by itself will do.

    ``auto`` depends on the settings alone, never on what the cards turn out to be: then a VM would be made anew because
    a driver told more about a card than before. A power of two, as firmware aligns it.
    """
    if wanted != "auto":
        return int(wanted) if cards else 0
    return 1 << (cards * CARD_WINDOW_MIB - 1).bit_length() if cards > 1 else 0


def named_xslt(root: str, uuid: str) -> str:
    """Return a stylesheet that gives a network or pool (``root``) a UUID of ours instead of a random one."""
    return _SHEET.format(root=root, uuid=uuid, head="", tail="", more="")


def domain_xslt(vm: Definition) -> str:
    """Return the stylesheet for a VM: identity and marks, firmware, console log, address space, and the GPUs.

    ``managed="yes"``: libvirt binds each function to vfio-pci when the VM starts and gives it back when it stops.
    Every setting that the provider itself takes (name, cores, memory, type, machine, CPU mode) is left to it.
    """
    tail = _CLOCK
    if vm.hugepages:
        tail += _HUGE_PAGES.format(kib=_PAGE_KIB[vm.hugepages])
    if vm.firmware == "uefi" and vm.window_mib:
        # QEMU keeps the range free in any case; OVMF of 2022 and before has to be told, and libvirt has no word for it.
        tail += _OVMF_WINDOW.format(namespace=QEMU_NAMESPACE, mib=vm.window_mib)
    log = _attribute(f"{vm.pool_path.rstrip('/')}/{vm.console}")
    more = _FIRMWARE if vm.firmware == "uefi" else ""
    more += _DEVICES.format(log=log, more="".join(_pci(vm)))
    return _SHEET.format(root="domain", uuid=vm.uuid, head=_metadata(vm), tail=tail, more=more)


def guest_slots(functions: Sequence[Sequence[str]]) -> list[list[tuple[str, int]]]:
    """Return for each slot of the VM the host's functions that go there, each with its function number in the VM.

    What shares a slot on the host shares one in the VM: a card's functions then find each other as they do on the bare
    machine (NVIDIA's driver looks for the audio function beside the GPU to manage power). Numbers are kept; where the
    host's function 0 stays behind they begin at 0 anew, for without a function 0 nobody looks at the others.
    """
    slots: dict[str, list[str]] = {}
    for address in dict.fromkeys(function for every in functions for function in every):
        slots.setdefault(address.rpartition(".")[0], []).append(address)
    return [list(_numbered(each)) for each in slots.values()]


def _numbered(addresses: Sequence[str]) -> Iterator[tuple[str, int]]:
    keep = any(pci_parts(address)[3] == 0 for address in addresses)
    for number, address in enumerate(addresses):
        yield address, pci_parts(address)[3] if keep else number


def _pci(vm: Definition) -> Iterator[str]:
    """Yield what a VM's devices get on top: address space, a root port for each card, the cards; no memory balloon.

    A balloon cannot give back what VFIO has pinned.
    """
    if vm.window_mib:
        yield _WINDOW.format(kib=vm.window_mib * 1024)
    slots = guest_slots(vm.functions)
    # Ports first and numbered by us, so that a card's place does not depend on what else the VM has.
    for bus in range(1, len(slots) + 1):
        yield _PORT.format(index=bus)
    for bus, slot in enumerate(slots, 1):
        for address, guest in slot:
            multi = ' multifunction="on"' if guest == 0 and len(slot) > 1 else ""
            yield _HOSTDEV.format(*pci_parts(address), bus=bus, guest=guest, multi=multi)
    if slots:
        yield _NO_BALLOON


def _metadata(vm: Definition) -> str:
    """Return the marks that host facts read back: libvirt keeps one element of a namespace, so all are inside one."""
    marks = {"owner": vm.owner, "role": vm.role, "image": vm.image, "shape": vm.shape}
    entries = "".join(
        f"\n          <inference-cloud:{name}>{escape(value)}</inference-cloud:{name}>" for name, value in marks.items()
    )
    return _METADATA.format(namespace=OWNER_NAMESPACE, entries=entries)


def _attribute(text: str) -> str:
    """Return a text as an attribute's value in a stylesheet, where braces stand for an expression."""
    return escape(text, {'"': "&quot;"}).replace("{", "{{").replace("}", "}}")
