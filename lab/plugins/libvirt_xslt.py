"""What an XSLT stylesheet adds to the XML that the provider generates: UUID, marks of ours and host devices.

The real provider hands the stylesheet to ``xsltproc``. Here its literal elements are read: a stylesheet that computes
them, or that applies to some other element than the root, is beyond the lab. The provider's ``metadata`` input is never
looked at: terraform-provider-libvirt 0.8 takes it and drops it, so an owner has to come in by the stylesheet.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree  # the stylesheet is our own program's
from dataclasses import dataclass

from lab.plugins.errors import PluginError

_MARKS = "{urn:inference-cloud:owner}"


@dataclass(frozen=True)
class Additions:
    """What a stylesheet puts into a definition."""

    uuid: str | None = None
    owner: str | None = None
    role: str | None = None
    image: str | None = None
    shape: str | None = None
    hostdevs: tuple[str, ...] = ()


def additions(stylesheet: str | None) -> Additions:
    """Return what a stylesheet adds. Raises PluginError where it is not XML or not a stylesheet."""
    if not stylesheet:
        return Additions()
    try:
        root = ElementTree.fromstring(stylesheet)  # noqa: S314
    except ElementTree.ParseError as error:
        raise PluginError(f"error applying XSLT stylesheet: xsltproc: parser error: {error}") from None
    if _local(root) not in ("stylesheet", "transform"):
        raise PluginError(f"error applying XSLT stylesheet: xsltproc: <{_local(root)}> is not a stylesheet")
    marks = {name: _first(root, f"{_MARKS}{name}") for name in ("owner", "role", "image", "shape")}
    hostdevs = tuple(_address(element) for element in root.iter("hostdev"))
    return Additions(_first(root, "uuid"), **marks, hostdevs=hostdevs)


def _first(root: ElementTree.Element, tag: str) -> str | None:
    return next((element.text.strip() for element in root.iter(tag) if element.text and element.text.strip()), None)


def _local(element: ElementTree.Element) -> str:
    return re.sub(r"^\{[^}]*\}", "", element.tag)


def _address(hostdev: ElementTree.Element) -> str:
    address = hostdev.find("./source/address")
    if address is None:
        raise PluginError("error defining libvirt domain: XML error: missing source address in hostdev")
    try:
        parts = [int(address.get(name, "0"), 16) for name in ("domain", "bus", "slot", "function")]
    except ValueError:
        raise PluginError("error defining libvirt domain: XML error: Cannot parse address of hostdev") from None
    return f"{parts[0]:04x}:{parts[1]:02x}:{parts[2]:02x}.{parts[3]:x}"
