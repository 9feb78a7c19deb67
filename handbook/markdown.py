"""GitHub's Markdown written so that MkDocs' own reads it alike.

Pages are written for GitHub first. Python-Markdown wants a blank line before a list, and four spaces where GitHub takes
the width of the marker: ``lists`` gives it both. ``outside_code`` keeps every change out of what is code.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape

_CODE = re.compile(r"(^ *```.*?^ *```[^\S\n]*$|``.+?``|`[^`\n]+`)", re.DOTALL | re.MULTILINE)
_ITEM = re.compile(r"^( *)([-*+]|\d{1,9}[.)])( +)(?=\S)")
_MARKS = {ord(mark): f"&#{ord(mark)};" for mark in "|*_`[]\\~!"}
"""What Markdown would read inside of HTML as well."""
_RUN = re.compile(r"^<!-- executed: (.+?) -->\n", re.MULTILINE)
_NOT_RUN = re.compile(r"^<!-- not executed: (.+?) -->\n", re.MULTILINE)
_FENCE = re.compile(r"^ *```")


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Return a text with ``change`` made to what is neither fenced nor between backticks."""
    parts = _CODE.split(text)
    return "".join(part if number % 2 else change(part) for number, part in enumerate(parts))


def marks(text: str) -> str:
    """Return a text in which the comments that say what a test runs can be seen.

    ``<!-- executed: lab -->`` stands right above a block, ``<!-- not executed: why -->`` likewise.
    """

    def change(part: str) -> str:
        part = _RUN.sub(lambda match: f'<p class="ran">Run by a test, in the {escape(match[1])}</p>\n\n', part)
        return _NOT_RUN.sub(lambda match: f'<p class="ran">Not run by a test: {escape(match[1])}</p>\n\n', part)

    return outside_code(text, change)


def cell(text: str) -> str:
    """Return a text as it stands in a table's cell: one line, no column of its own."""
    return " ".join(text.split()).replace("|", "\\|")


def code(text: str) -> str:
    """Return a text as code that stands in a table's cell too; as HTML: Markdown has no way to write a bar there."""
    return f"<code>{escape(' '.join(text.split()), quote=False).translate(_MARKS)}</code>"


def table(columns: list[str], rows: list[list[str]]) -> str:
    """Return a table; its cells are Markdown already."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def lists(text: str) -> str:
    """Return a text whose lists Python-Markdown reads as GitHub does."""
    found: list[str] = []
    offsets: list[int] = []  # of the text of each open list item, outermost first
    fenced = False
    for line in text.split("\n"):
        indent = len(line) - len(line.lstrip(" "))
        if line.strip() and not fenced:
            while offsets and indent < offsets[-1] and not _lazy(line, found):
                offsets.pop()
        item = None if fenced else _ITEM.match(line)
        inside = len(offsets)
        depth = 4 * inside + (indent - offsets[-1] if offsets else indent) if inside else indent
        if item and indent <= (offsets[-1] if offsets else 0) + 3 and not _continues(item[2], found):
            if not offsets and found and found[-1].strip() and not found[-1].lstrip().startswith(("#", "<!--")):
                found += _gap(found[-1])
            offsets.append(len(item[0]))
        if _FENCE.match(line):
            fenced = not fenced
        found.append(" " * max(depth, 0) + line.lstrip(" ") if inside and line.strip() else line)
    return "\n".join(found)


def _gap(before: str) -> list[str]:
    """Return the blank line that a list needs after a paragraph, and an item after code; after another item none."""
    if _FENCE.match(before):
        return [""]
    return [] if _ITEM.match(before) or before.startswith("    ") else [""]


def _lazy(line: str, before: list[str]) -> bool:
    """Whether a line without indentation still belongs to the item above it: text right after text."""
    plain = not _ITEM.match(line) and not re.match(r" *(#|```|\||<!--|>)", line)
    return plain and bool(before) and bool(before[-1].strip()) and not _FENCE.match(before[-1])


def _continues(marker: str, before: list[str]) -> bool:
    """Whether a number at the start of a line is part of a sentence: only a list's 1 may interrupt a paragraph."""
    return marker[0].isdigit() and marker[:-1] != "1" and bool(before) and _paragraph(before[-1])


def _paragraph(line: str) -> bool:
    return bool(line.strip()) and not line.startswith(("#", "|", " ")) and not _ITEM.match(line)
