"""Every command of cloudctl: what its own help says, with its options as a table."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer

from cloudctl import exits
from cloudctl.app import app
from handbook.markdown import cell, code, outside_code, table
from handbook.page import Page

INTRODUCTION = """# cloudctl: every command

Made from the help of the commands themselves when this site is built; each prints its own with `-h`. What they are
for, and what each needs: [cloudctl](../cloudctl.md).
"""


def page() -> Page:
    """Return the page."""
    parts = [INTRODUCTION, _exit_codes()]
    for words, command in leaves():
        parts.append(f"## {' '.join(words)}\n\n{_usage(words, command)}\n{_help(command)}\n{_options(words, command)}")
    return Page("reference/cloudctl.md", "\n".join(parts))


def leaves(command: Any = None, words: tuple[str, ...] = ("cloudctl",)) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command that does something, with the words that call it, in the tree's order."""
    command = command or typer.main.get_command(app)
    below = getattr(command, "commands", {})
    if len(words) > 1 and (not below or command.invoke_without_command):
        yield words, command
    for name, each in below.items():
        yield from leaves(each, (*words, name))


def _usage(words: tuple[str, ...], command: Any) -> str:
    context = typer.Context(command, info_name=" ".join(words))
    pieces = " ".join(command.collect_usage_pieces(context))
    return f"```\n{' '.join(words)} {pieces}\n```\n"


def _help(command: Any) -> str:
    """Return the help text as Markdown: paragraphs as they are, what is kept as typed in a block."""
    parts = []
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(command.help or "")):
        kept = paragraph.startswith("\b")
        lines = paragraph.lstrip("\b\n").splitlines()
        if kept and lines and lines[0].endswith(":"):
            parts.append(f"{lines[0]}\n\n```\n{inspect.cleandoc(chr(10).join(lines[1:]))}\n```\n")
        elif kept:
            parts.append("```\n" + "\n".join(lines) + "\n```\n")
        else:
            parts.append(outside_code(" ".join(" ".join(lines).split()), _escaped) + "\n")
    return "\n".join(parts)


def _options(words: tuple[str, ...], command: Any) -> str:
    """Return the options as the help lists them, an argument among them."""
    context = typer.Context(command, info_name=" ".join(words))
    records = [record for each in command.get_params(context) if (record := each.get_help_record(context))]
    rows = [[code(name), outside_code(cell(said), _escaped) or " "] for name, said in records]
    return table(["Option", "What it says"], rows)


def _exit_codes() -> str:
    rows = [[code(number), text] for number, text in re.findall(r"^ +(\d)  (.+)$", exits.MEANING, re.MULTILINE)]
    return f"## Exit codes\n\n{table(['Code', 'Meaning'], rows)}"


def _escaped(text: str) -> str:
    return re.sub(r"([<>*_])", r"\\\1", text)
