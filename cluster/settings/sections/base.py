"""What every section of the settings is made of: the base class, and types that several of them use."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

NAMESPACE = "inference-cloud"
"""Pulumi project name, and so the namespace of every key in a stack file."""


def _text(value: object) -> object:
    """Refuse a number where an address is meant: ipaddress would read 12 as 0.0.0.12."""
    if isinstance(value, bool | int | float):
        raise ValueError("is not an IPv4 address; write four numbers with dots, in quotes, e.g. '192.168.200.11'")
    return value


_OCTET = r"(25[0-5]|2[0-4]\d|1?\d?\d)"
_IPV4 = rf"({_OCTET}\.){{3}}{_OCTET}"

Address = Annotated[IPv4Address, BeforeValidator(_text), WithJsonSchema({"type": "string", "pattern": f"^{_IPV4}$"})]
"""An IPv4 address."""

Cidr = Annotated[
    IPv4Network, BeforeValidator(_text), WithJsonSchema({"type": "string", "pattern": f"^{_IPV4}/(3[0-2]|[12]?\\d)$"})
]
"""An IPv4 network with its prefix length; host bits are zero."""


Whole = Annotated[int, Field(strict=True)]
"""A whole number; true, "4" and 4.0 are none."""


HOST_PORT = r"^[a-z0-9.-]+:\d+$"
"""Form of host:port."""


class Section(BaseModel):
    """Base of every section: frozen, and a key that nobody reads is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)
