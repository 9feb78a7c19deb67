"""Parsers for networks: libvirt's own, the host's routes, and who answers at an address. Text in, values out."""

from __future__ import annotations

import re
import socket
import struct
import xml.etree.ElementTree as ET  # what libvirt itself wrote
from ipaddress import IPv4Address, IPv4Network, ip_interface

from cluster.host.model import NetworkFacts
from cluster.host.parse_libvirt import xml_of

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_UP = 0x1
"""Flag of a route that is usable (RTF_UP of route(4))."""


def parse_network(text: str, active: bool) -> NetworkFacts:
    """Return a network from ``virsh net-dumpxml``; of several IPv4 addresses the first says its CIDR."""
    root = xml_of(text)
    name = (root.findtext("name") or "").strip()
    if not name:
        raise ValueError(f"{root.tag} has no name")
    bridge = root.find("bridge")
    served = [
        ip_interface(f"{each.get('address')}/{each.get('prefix') or each.get('netmask') or 32}").network
        for each in root.findall("ip")
        if each.get("family", "ipv4") == "ipv4"
    ]
    return NetworkFacts(
        name=name,
        uuid=(root.findtext("uuid") or "").strip() or None,
        bridge=(bridge.get("name") if bridge is not None else None) or None,
        cidr=str(served[0]) if served else None,
        mtu=_mtu(root.find("mtu")),
        active=active,
    )


def _mtu(element: ET.Element | None) -> int | None:
    size = element.get("size", "") if element is not None else ""
    return int(size) if re.fullmatch(r"[1-9][0-9]{0,4}", size) else None


def parse_routes(text: str) -> dict[str, str]:
    """Return IPv4 network -> interface of ``/proc/net/route``, whose numbers are hexadecimal in the host's byte order.

    Default routes, single addresses and lines that do not look so are left out.
    """
    found: dict[str, str] = {}
    for line in text.splitlines()[1:]:
        parts = line.split()
        if len(parts) < 8 or not all(re.fullmatch(r"[0-9A-Fa-f]{8}", parts[place]) for place in (1, 7)):
            continue
        destination, mask = (socket.inet_ntoa(struct.pack("<L", int(parts[place], 16))) for place in (1, 7))
        try:
            network = IPv4Network(f"{destination}/{mask}")
            usable = int(parts[3], 16) & _UP
        except ValueError:
            continue
        if usable and 0 < network.prefixlen < 32:
            found.setdefault(str(network), parts[0])
    return found


def parse_answers(text: str) -> dict[str, str]:
    """Return address -> MAC address of lines ``ADDRESS MAC``; any other line is left out."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        address, _, mac = line.strip().lower().partition(" ")
        try:
            if _MAC.fullmatch(mac):
                found[str(IPv4Address(address))] = mac
        except ValueError:
            continue
    return found
