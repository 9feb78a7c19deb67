"""Progress of an update by task: which began, how far, how long; a live table on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.table import Table

from cluster.phases import PHASES, TASKS
from lab.events import Event, Step, Violation


@dataclass
class _Row:
    begun: float
    ended: float | None = None
    done: int = 0
    working: int = 0
    failed: int = 0
    now: str = ""


class Progress:
    """Give ``take`` to a run as its watcher; ``totals`` says how many resources each task has, where a preview
    counted."""

    def __init__(self, console: Console, title: str, totals: Mapping[str, int] | None = None) -> None:
        self._console, self._title, self._totals = console, title, dict(totals or {})
        self._start = time.monotonic()
        self._rows: dict[str, _Row] = {}
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        else:
            self._console.print(f"{self._title} ...")
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()
            self._console.print(self._table())

    @property
    def seconds(self) -> dict[str, float]:
        """How long each finished task took, from its first resource to its last."""
        return {task: row.ended - row.begun for task, row in self._rows.items() if row.ended is not None}

    def take(self, event: Event) -> None:
        """Follow one event."""
        if isinstance(event, Violation) and not self._live:
            self._console.print(f"{self._stamp()}  policy {event.policy} ({event.level})", markup=False)
        if not isinstance(event, Step) or event.task is None or not event.custom:
            return
        row = self._rows.get(event.task)
        if row is None:
            row = self._rows[event.task] = _Row(time.monotonic())
            self._line(event.task, "begins")
        if event.kind == "begun":
            row.working += 1
            row.now = event.name
            row.ended = None
        else:
            row.working -= 1
            row.done += event.kind == "done"
            row.failed += event.kind == "failed"
            if event.kind == "failed":
                self._line(event.task, f"FAILED at {event.name}")
            elif row.working == 0 and row.done >= self._totals.get(event.task, row.done + 1):
                row.ended = time.monotonic()
                self._line(event.task, f"done: {row.done} resources in {row.ended - row.begun:.1f} s")
        if self._live:
            self._live.update(self._table())

    def _stamp(self) -> str:
        return f"[{time.monotonic() - self._start:6.1f} s]"

    def _line(self, task: str, what: str) -> None:
        if not self._live:
            self._console.print(
                f"{self._stamp()}  {task}  {TASKS[task].title:<36} {what}", markup=False, highlight=False
            )

    def _table(self) -> Table:
        table = Table(title=f"{self._title}  {self._stamp()}", title_justify="left", expand=False)
        for column in ("phase", "task", "", "resources", "time", "now"):
            table.add_column(column, justify="right" if column in ("resources", "time") else "left")
        for task in sorted(self._rows):
            row = self._rows[task]
            total = self._totals.get(task)
            took = (row.ended or time.monotonic()) - row.begun
            mark = "[red]failed" if row.failed else "[green]done" if row.ended else f"{row.now}"
            count = f"{row.done}/{total}" if total else str(row.done)
            table.add_row(PHASES[TASKS[task].phase], task, TASKS[task].title, count, f"{took:.1f} s", mark)
        return table
