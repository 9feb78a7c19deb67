"""What the verdict says: one finding per thing that is wrong with a plan on a host."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["refuse", "warn"]


@dataclass(frozen=True)
class Finding:
    """One thing wrong: ``code`` is for programs, ``message`` and ``remedy`` are for people.

    ``vm`` is None where the finding is about the host or about a sum over all its VMs.
    """

    code: str
    severity: Severity
    host: str
    vm: str | None
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}"


def refusals(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that stop a plan."""
    return [finding for finding in findings if finding.severity == "refuse"]


def warnings(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that are only told."""
    return [finding for finding in findings if finding.severity == "warn"]
