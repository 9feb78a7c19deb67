"""What a look at the nodes found: every problem of every node at once, for people, for an error and for programs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rich.table import Table
from rich.text import Text

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Problem:
    """One thing wrong: on which node (or ``a -> b``: on the way; or ``cluster``), what, and what to do about it.

    ``found`` and ``wanted`` are words for people. A warning does not stop anything. ``passes``: it may go away by
    itself, so it is worth waiting for.
    """

    node: str
    what: str
    found: str
    wanted: str
    remedy: str
    severity: Severity = "error"
    passes: bool = False

    def __str__(self) -> str:
        return f"{self.node}: {self.what}: {self.found}; wanted: {self.wanted}; {self.remedy}"


@dataclass(frozen=True)
class Report:
    """What a look found: ``problems`` stop, ``warnings`` do not; ``asked``: the nodes; ``notes``: what was proved how.

    ``log`` is the path of the play's log, or empty.
    """

    title: str
    asked: tuple[str, ...]
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    log: str = ""

    @classmethod
    def of(
        cls, title: str, asked: Iterable[str], problems: Iterable[Problem], notes: Iterable[str] = (), log: str = ""
    ) -> Report:
        """Return a report in a steady order: by node, then in the order found; none twice."""
        ranked = sorted(dict.fromkeys(problems), key=lambda each: each.node)
        stops = tuple(each for each in ranked if each.severity == "error")
        warns = tuple(each for each in ranked if each.severity == "warning")
        return cls(title, tuple(sorted(asked)), stops, warns, tuple(notes), log)

    @property
    def ok(self) -> bool:
        """Whether there is no problem; warnings may be there."""
        return not self.problems

    def __str__(self) -> str:
        """Return plain text: a line a problem, then where the log is."""
        lines = [f"{self.title}: {self.count()}", *(f"  {problem}" for problem in self.problems)]
        lines += [f"  warning: {warning}" for warning in self.warnings]
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join([*lines, f"  log: {self.log}"] if self.log else lines)

    def count(self) -> str:
        """Return how many problems there are, and how many nodes were asked, in words."""
        parts = [_number(len(self.problems), "problem")]
        parts += [_number(len(self.warnings), "warning")] if self.warnings else []
        return f"{' and '.join(parts)}, {_number(len(self.asked), 'node')} asked"

    def as_table(self) -> Table:
        """Return a table for a terminal; a cell holds text as it is, never markup."""
        table = Table(title=f"{self.title}: {self.count()}", title_justify="left", pad_edge=False, show_lines=True)
        for column in ("node", "what", "found", "wanted", "remedy"):
            table.add_column(column, overflow="fold")
        for problem in (*self.problems, *self.warnings):
            style = "red" if problem.severity == "error" else "yellow"
            cells = (problem.what, problem.found, problem.wanted, problem.remedy)
            table.add_row(Text(problem.node, style=style), *(Text(cell) for cell in cells))
        return table

    def as_json(self) -> dict[str, Any]:
        """Return ``{title, ok, asked, problems, warnings, notes, log}``; a problem with its fields by their names."""
        return {
            "title": self.title,
            "ok": self.ok,
            "asked": list(self.asked),
            "problems": [asdict(problem) for problem in self.problems],
            "warnings": [asdict(warning) for warning in self.warnings],
            "notes": list(self.notes),
            "log": self.log,
        }


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
