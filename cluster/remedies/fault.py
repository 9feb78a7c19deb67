"""The shape of the table's entries."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """A failure that is known by its text.

    ``reason`` and ``remedy`` may name the pattern's groups, {virsh} (the command with its URI), {stack}, and {again}
    (how to go on after a run that failed halfway).
    """

    name: str
    pattern: re.Pattern[str]
    reason: str
    remedy: str


def fault(name: str, pattern: str, reason: str, remedy: str) -> Fault:
    """Return an entry whose pattern is looked for anywhere in a text of single spaces, in letters of any case."""
    return Fault(name, re.compile(pattern, re.IGNORECASE), reason, remedy)
