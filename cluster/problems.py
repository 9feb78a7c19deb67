"""What is said of bad input: where, which value, why, and what to do; all of it at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a file: ``path`` as in the file (``machines[2].memory``), the value, the reason, the
    remedy."""

    path: str
    value: object
    reason: str
    remedy: str

    def __str__(self) -> str:
        shown = "" if self.value is None else f" {self.value!r}"
        return f"{self.path}:{shown} {self.reason}; {self.remedy}"


class InputError(Exception):
    """A file or option of the user's that cannot be used; the message holds every problem of it, a line each."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__("\n".join([f"{source}: {count}", *(f"  {problem}" for problem in self.problems)]))
