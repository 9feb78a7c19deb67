"""The pages as text: their code spans, code blocks, tables and sections."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FRONT = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
PAGES = (*FRONT, *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")))
"""Every page, so that a new one is held to the same."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def text(page: str) -> str:
    """Return a page."""
    return (ROOT / page).read_text("utf-8")


def blocks(markdown: str, language: str | None = None) -> list[str]:
    """Return the fenced blocks, of one language or of all."""
    return [body for kind, body in _FENCE.findall(markdown) if language is None or kind == language]


def spans(markdown: str) -> list[str]:
    """Return the texts between single backticks, those in fenced blocks left out."""
    return re.findall(r"`([^`\n]+)`", _FENCE.sub("", markdown))


def lines_of_code(markdown: str) -> Iterator[str]:
    """Yield every code span and every line of a shell block, comments left out."""
    yield from spans(markdown)
    for body in blocks(markdown, ""):
        for line in body.splitlines():
            yield line.partition(" #")[0].rstrip()


def section(markdown: str, title: str) -> str:
    """Return the text under a heading, up to the next one of the same level."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", markdown, re.DOTALL | re.MULTILINE)
    assert found, f"no section {title!r}"
    return found[1]


def table(markdown: str) -> list[list[str]]:
    """Return the rows of the first table of a text, without its head."""
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    end = next((i for i, line in enumerate(markdown.splitlines()) if line.startswith("|")), 0)
    first = []
    for line in markdown.splitlines()[end:]:
        if not line.startswith("|"):
            break
        first.append(line)
    assert first, f"no table among {len(rows)} lines"
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in first[2:]]
