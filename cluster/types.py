"""Domain types for settings and host facts: a value of one of these is already known to be well formed.

Sizes are binary. Settings write them with a unit (``12GiB``) because a bare ``12`` or a ``12GB`` means different things
to libvirt, Kubernetes and a disk's label. The requirement's texts say "GB" where they count GiB, and so do findings.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

_PCI = re.compile(r"^(?:([0-9a-f]{4}):)?([0-9a-f]{2}):([01][0-9a-f])\.([0-7])$")
_SIZE = re.compile(r"^([1-9][0-9]*)(MiB|GiB|TiB)$")
_MIB = {"MiB": 1, "GiB": 1024, "TiB": 1024 * 1024}

MIB_PER_GIB = 1024
BYTES_PER_MIB = 1024 * 1024


def parse_pci(value: object) -> str:
    """Return a PCI address in sysfs form, ``0000:3b:00.0``; the domain may be left out."""
    if isinstance(value, int | float):
        raise ValueError(
            'is not a PCI address but a number, as which YAML reads some of them; quote it: "0000:41:00.0"'
        )
    match = _PCI.match(value.strip().lower()) if isinstance(value, str) else None
    if not match:
        remedy = "write domain:bus:slot.function as lspci -D prints it, e.g. 0000:3b:00.0"
        raise ValueError(f"is not a PCI address; {remedy}")
    domain, bus, slot, function = match.groups()
    return f"{domain or '0000'}:{bus}:{slot}.{function}"


def pci_parts(address: str) -> tuple[int, int, int, int]:
    """Return (domain, bus, slot, function) of an address in sysfs form."""
    domain, bus, rest = address.split(":")
    slot, function = rest.split(".")
    return int(domain, 16), int(bus, 16), int(slot, 16), int(function, 16)


def host_cpus(text: str) -> list[int]:
    """Return the CPUs that a list such as ``4-7,12`` names, in its order; a range that runs backwards is empty."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def cpu_list(cpus: Sequence[int]) -> str:
    """Return host CPUs as ``host_cpus`` reads them, ``4-7,12``, in their order."""
    parts: list[list[int]] = []
    for cpu in cpus:
        if parts and cpu == parts[-1][-1] + 1:
            parts[-1].append(cpu)
        else:
            parts.append([cpu])
    return ",".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts)


def parse_mib(value: object) -> int:
    """Return a size in MiB from ``512MiB``, ``12GiB`` or ``1TiB``."""
    match = _SIZE.match(value.strip()) if isinstance(value, str) else None
    if not match:
        hint = _size_hint(value)
        raise ValueError(f"is not a size in MiB, GiB or TiB; write {hint}")
    return int(match[1]) * _MIB[match[2]]


def _size_hint(value: object) -> str:
    written = re.match(r"^\s*([1-9][0-9]*)(?:\.\d+)?\s*([MT]?)", str(value), re.IGNORECASE)
    return f"{written[1]}{written[2].upper() or 'G'}iB" if written else "for example 12GiB"


def format_mib(mib: int) -> str:
    """Return the shortest exact writing of a size in MiB: ``12GiB``, ``1TiB`` or ``1500MiB``."""
    for unit in ("TiB", "GiB"):
        if mib and mib % _MIB[unit] == 0:
            return f"{mib // _MIB[unit]}{unit}"
    return f"{mib}MiB"


def gb(mib: int) -> str:
    """Return a size as findings print it, in the requirement's words: ``96 GB`` (GiB, at most one decimal)."""
    value = mib / MIB_PER_GIB
    return f"{value:.0f} GB" if value == int(value) else f"{value:.1f} GB"


def _check_name(value: str) -> str:
    if len(value) > 40 or not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", value):
        raise ValueError("is not a name; use 1 to 40 lower-case letters, digits and '-', as Kubernetes node names need")
    return value


PciAddress = Annotated[
    str,
    BeforeValidator(parse_pci),
    WithJsonSchema({"type": "string", "pattern": r"^([0-9a-fA-F]{4}:)?[0-9a-fA-F]{2}:[01][0-9a-fA-F]\.[0-7]$"}),
]
"""A PCI address in sysfs form, ``domain:bus:slot.function``, lower case."""

MiB = Annotated[
    int,
    BeforeValidator(lambda value: value if isinstance(value, _Mib) else parse_mib(value)),
    PlainSerializer(format_mib, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^[1-9][0-9]*(MiB|GiB|TiB)$", "examples": ["12GiB"]}),
]
"""A size, held in MiB, written with its unit."""

Name = Annotated[
    str, AfterValidator(_check_name), Field(json_schema_extra={"pattern": "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"})
]
"""An RFC 1123 label of at most 40 characters: a VM's, host's, pool's or model's name."""


class _Mib(int):
    """A size that is in MiB already: lets defaults in code skip the text form."""


def mib(text: str) -> int:
    """Return a default for a ``MiB`` field from its text form."""
    return _Mib(parse_mib(text))
