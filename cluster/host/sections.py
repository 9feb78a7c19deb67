"""The probe's answer, taken apart: one text per thing read, one reason per thing that could not be read."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Sections:
    """``read``: name -> text. ``failed``: name -> why. A name that is in neither was not asked for."""

    read: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)

    def named(self, kind: str) -> Iterator[tuple[str, str]]:
        """Yield (name, text) of each section of a kind: ``domain hpc-gpu-1`` is ``hpc-gpu-1`` of kind ``domain``."""
        for name, text in self.read.items():
            if name.startswith(kind + " "):
                yield name.removeprefix(kind + " "), text

    def why_not(self, *names: str) -> str:
        """Return the reason why the first of these sections is missing, or else why libvirt, or all of it, is."""
        every = (*names, "domains", "libvirt")
        return next((self.failed[name] for name in every if name in self.failed), "the host did not say")


def split(text: str) -> Sections:
    """Return the sections of what ``probe.sh`` printed."""
    read: dict[str, list[str]] = {}
    failed: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("@@ "):
            lines = read.setdefault(line[3:].strip(), [])
        elif line.startswith("@@! "):
            lines = failed.setdefault(line[4:].strip(), [])
        else:
            lines.append(line)
    return Sections(
        {name: "\n".join(body).strip("\n") for name, body in read.items()},
        {
            name: " ".join(part.strip() for part in body if part.strip()) or "no reason given"
            for name, body in failed.items()
        },
    )


def attempt(parse: Callable[[], T]) -> T | str:
    """Return what a parser makes of libvirt's XML, or why it can make nothing of it."""
    try:
        return parse()
    except (ET.ParseError, ValueError, KeyError) as error:
        return f"libvirt's XML cannot be read: {' '.join(str(error).split())}"
