"""What ``cloud-init status --long`` complains of; versions word it differently. Text in, complaints out."""

from __future__ import annotations

import re

_LEVEL = re.compile(r"([A-Z]+):")
_COMPLAINTS = re.compile(r"(errors|detail|recoverable_errors):")
_NONE = re.compile(r"(errors|detail|recoverable_errors): ?(\[\]|\{\})?")


def complaints(status: str) -> list[str]:
    """Return what ``cloud-init status --long`` names as errors, recoverable ones too; versions word it differently."""
    lines = [line.strip(" \t-") for line in status.splitlines()]
    begin = next((number for number, line in enumerate(lines) if _COMPLAINTS.match(line)), len(lines))
    found = [line for line in lines[begin:] if line and not _NONE.fullmatch(line)]
    return found or [line for line in lines if line.startswith("status:")]


def recoverable(status: str) -> list[tuple[str, str]]:
    """Return (level, text) of each error that cloud-init got over; none where it is worded otherwise."""
    found: list[tuple[str, str]] = []
    level = ""
    _, _, text = status.partition("\nrecoverable_errors:")
    for line in text.splitlines():
        if heading := _LEVEL.fullmatch(line.strip()):
            level = heading[1]
        elif level and line.strip().startswith("- "):
            found.append((level, line.strip()[2:].strip()))
        elif found and line.strip():
            found[-1] = (found[-1][0], f"{found[-1][1]} {line.strip()}")
    return found
