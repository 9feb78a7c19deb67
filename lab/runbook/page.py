"""A runbook page: its code blocks in order, and what its marks say of each.

A mark is an HTML comment alone on a line; readers do not see it. Before a block it stands on the line above:

    <!-- executed: lab -->            the lab runs it, and it must end with 0
    <!-- executed: lab, exit 1 -->    it must end with 1
    <!-- not executed: why -->        the lab cannot, for this reason
    <!-- shown -->                    a ``text`` block: the block before has printed these lines, among others

Elsewhere: ``<!-- rehearsal: KEY=VALUE ... -->`` once, and ``<!-- happens: COMMAND -->`` for what goes wrong, or is
typed in an editor.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cluster.problems import InputError, Problem

Kind = Literal["run", "happens", "shown", "left"]

KEYS = {
    "stack": "which stack: prod or dev",
    "host": "host twin, from the project's folder",
    "settings": "a stack file instead of the committed one",
    "faults": "faults to inject, from the first step on",
    "stands": "yes: the stack is up when the page begins",
}
_MARK = re.compile(r"^<!-- (rehearsal|happens|executed|not executed|shown)(?::\s*(.*?))? -->$")
_FENCE = re.compile(r"^```(\w*)$")
_EXIT = re.compile(r"^lab(?:, exit (\d+))?$")


@dataclass(frozen=True)
class Step:
    """A block or an event of a page: the line where it begins, its text, the exit status that is wanted."""

    kind: Kind
    line: int
    text: str
    status: int = 0


@dataclass(frozen=True)
class Page:
    """A page with its steps in order; ``options`` are those of its rehearsal."""

    path: Path
    steps: tuple[Step, ...]
    options: dict[str, str] = field(default_factory=dict)

    @property
    def runs(self) -> list[Step]:
        """The blocks that are executed."""
        return [step for step in self.steps if step.kind == "run"]


def read(path: Path) -> Page:
    """Read a page. Raises InputError with everything that is wrong with its marks."""
    problems: list[Problem] = []
    options: dict[str, str] = {}
    steps: list[Step] = []
    for step in _steps(path.read_text(encoding="utf-8").splitlines(), options, problems):
        steps.append(step)
        before = steps[-2].kind if len(steps) > 1 else None
        if step.kind == "shown" and before not in ("run", "shown"):
            problems.append(_wrong(step.line, "shows what no executed block before it has printed"))
    if any(step.kind == "run" for step in steps) and not options:
        problems.append(_wrong(1, "executes blocks and says of no rehearsal", "<!-- rehearsal: stack=prod ... -->"))
    if problems:
        raise InputError(str(path), problems)
    return Page(path, tuple(steps), options)


def _steps(lines: list[str], options: dict[str, str], problems: list[Problem]) -> Iterator[Step]:
    number, mark = 0, None
    while number < len(lines):
        line, number = lines[number], number + 1
        found, fence = _MARK.match(line), _FENCE.match(line)
        if fence:
            begin, body = number, []
            while number < len(lines) and lines[number] != "```":
                body.append(lines[number])
                number += 1
            number += 1
            yield from _block(begin, fence[1], "\n".join(body), mark, problems)
            mark = None
        elif found and found[1] == "rehearsal":
            options |= _options(number, found[2] or "", problems)
        elif found and found[1] == "happens":
            yield Step("happens", number, found[2] or "")
        elif found:
            mark = (found[1], found[2] or "", number)
        elif mark is not None:
            problems.append(_wrong(mark[2], "is a mark with no block on the next line"))
            mark = None
        elif line.startswith("<!--"):
            problems.append(_wrong(number, "is a comment that is no mark", "see lab/runbook/page.py"))


def _block(
    line: int, language: str, body: str, mark: tuple[str, str, int] | None, problems: list[Problem]
) -> Iterator[Step]:
    word, rest = (mark[0], mark[1]) if mark else ("", "")
    if language not in ("", "text"):
        return  # a file's part, a rule: nobody types or prints it
    if word == "executed" and language == "":
        if status := _EXIT.match(rest):
            yield Step("run", line, body, int(status[1] or 0))
        else:
            problems.append(_wrong(line, f"is marked executed: {rest}", "write lab, or lab, exit N"))
    elif word == "shown" and language == "text":
        yield Step("shown", line, body)
    elif word == "not executed" and rest:
        yield Step("left", line, body)
    else:
        problems.append(_wrong(line, "has no mark that fits it", "say whether the lab executes it, and why not"))


def _options(line: int, text: str, problems: list[Problem]) -> dict[str, str]:
    found = dict(part.partition("=")[::2] for part in text.split())
    for key in found.keys() - KEYS.keys():
        problems.append(_wrong(line, f"has a key {key}", f"use {', '.join(KEYS)}"))
    return found


def _wrong(line: int, reason: str, remedy: str = "see lab/runbook/page.py") -> Problem:
    return Problem(f"line {line}", None, reason, remedy)
