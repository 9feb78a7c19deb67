"""Printing: tables of at most 100 columns for people, JSON for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH = 100
"""Columns that every table fits; a pipe gets this width, a narrower terminal wraps the cells."""

STYLES = {
    "done": "green",
    "running": "green",
    "ready": "green",
    "free": "green",
    "fits": "green",
    "partial": "yellow",
    "degraded": "yellow",
    "pending-operation": "red",
    "missing": "red",
    "held": "red",
    "refuse": "red",
    "short": "red",
    "shut-off": "yellow",
    "warn": "yellow",
    "unknown": "yellow",
    "skipped": "dim",
}
"""Colours of words that say how something is."""


def console() -> Console:
    """Return a console on the standard output of this moment."""
    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDTH
    return Console(width=wide, highlight=False, soft_wrap=False)


def show_json(data: Any) -> None:
    """Print data as JSON."""
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False))


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> None:
    """Print a table, or ``empty`` where it has no rows. Column ``>x`` is aligned right, ``=x`` keeps cells whole."""
    if not rows:
        say(f"{title}: {empty}")
        return
    table = Table(
        title=title, title_justify="left", title_style="bold", header_style="bold", expand=False, pad_edge=False
    )
    for column in columns:
        justify: Literal["left", "right"] = "right" if column.startswith(">") else "left"
        table.add_column(column.lstrip(">="), justify=justify, overflow="fold", no_wrap=column[:1] in (">", "="))
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    console().print(table)


def say(text: str) -> None:
    """Print a line of text as it is: no markup, no wrapping."""
    typer.echo(text)


def note(text: str) -> None:
    """Print a line about what is being done, on standard error, so that it never mixes with JSON."""
    typer.echo(text, err=True)


def _cell(value: object) -> Text:
    text = "-" if value is None or value == "" else str(value)
    return Text(text, style=STYLES.get(text, ""))
