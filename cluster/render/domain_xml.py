"""What the libvirt provider has no input for, as XSLT over the XML that it makes.

terraform-provider-libvirt 0.8 knows no hostdev, accepts ``metadata`` without writing it, puts the cloud-init disk on
IDE, which machine q35 lacks, and always adds a SPICE display, which not every QEMU is built with.
"""

from __future__ import annotations

from collections.abc import Sequence

from cluster.types import pci_parts

OWNER_NAMESPACE = "urn:inference-cloud:owner"

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
      <xsl:apply-templates select="node()[not(self::uuid or self::metadata)]"/>
    </xsl:copy>
  </xsl:template>{more}
</xsl:stylesheet>
"""

_DOMAIN = """
  <xsl:template match="/domain/devices/graphics"/>
  <xsl:template match="/domain/devices/disk[@device='cdrom']/target">
    <target dev="sda" bus="sata"/>
  </xsl:template>"""

_HOSTDEVS = """
  <xsl:template match="/domain/devices">
    <xsl:copy>
      <xsl:apply-templates select="@*|node()"/>{hostdevs}
    </xsl:copy>
  </xsl:template>"""

_HOSTDEV = """
      <hostdev mode="subsystem" type="pci" managed="yes">
        <source>
          <address domain="0x{0:04x}" bus="0x{1:02x}" slot="0x{2:02x}" function="0x{3:x}"/>
        </source>
      </hostdev>"""


def named_xslt(root: str, uuid: str) -> str:
    """Return a stylesheet that gives a network or pool (``root``) a UUID of ours instead of a random one."""
    return _SHEET.format(root=root, uuid=uuid, head="", more="")


def domain_xslt(uuid: str, owner: str, functions: Sequence[str]) -> str:
    """Return the stylesheet for a VM: its UUID, its owner, no display, and the PCI functions that it gets.

    ``managed="yes"``: libvirt binds each function to vfio-pci when the VM starts and gives it back when it stops.
    """
    hostdevs = "".join(_HOSTDEV.format(*pci_parts(function)) for function in functions)
    more = _DOMAIN + (_HOSTDEVS.format(hostdevs=hostdevs) if hostdevs else "")
    head = f"\n      <metadata>{owner_metadata(owner)}</metadata>"
    return _SHEET.format(root="domain", uuid=uuid, head=head, more=more)


def owner_metadata(owner: str) -> str:
    """Return the element that says which stack made a VM; host facts read it back from there."""
    return f'<inference-cloud:owner xmlns:inference-cloud="{OWNER_NAMESPACE}">{owner}</inference-cloud:owner>'
