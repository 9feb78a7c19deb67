"""How a transfer goes, while it goes: a bar on a terminal, lines elsewhere; and what became of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from cloudctl import console
from cluster.transfer.model import Report, Result
from cluster.transfer.sync import Progress as Told

_EVERY_S = 10.0
"""Between two lines where no bar can be drawn."""


class Bar:
    """Bytes, rate and time left, drawn on a terminal."""

    def __init__(self, drawn: Progress) -> None:
        self._drawn = drawn
        self._task: TaskID | None = None

    def begin(self, files: int, size: int) -> None:
        """Draw a bar of that length."""
        self._task = self._drawn.add_task(f"{files} files", total=size)

    def moved(self, size: int) -> None:
        """Draw it on."""
        if self._task is not None:
            self._drawn.advance(self._task, size)

    def ended(self, result: Result) -> None:
        """Say it above the bar."""
        self.say(_line(result))

    def say(self, text: str) -> None:
        """Say something above the bar."""
        self._drawn.console.print(text, markup=False, highlight=False)


class Lines:
    """The same as lines on standard error; ``quiet`` leaves out everything but what is out of the ordinary."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._files = self._total = self._done = 0
        self._begun = self._told = time.monotonic()

    def begin(self, files: int, size: int) -> None:
        """Say what there is to do."""
        self._files, self._total = files, size
        self._begun = self._told = time.monotonic()
        if files and not self._quiet:
            console.note(f"{files} files, {decimal(size)}")

    def moved(self, size: int) -> None:
        """Say how far it is, now and then."""
        self._done += size
        now = time.monotonic()
        if now - self._told < _EVERY_S or self._quiet:
            return
        self._told = now
        rate = self._done / (now - self._begun)
        left = max(0, self._total - self._done) / rate if rate else 0
        console.note(f"{decimal(self._done)} of {decimal(self._total)}, {decimal(int(rate))}/s, {left:.0f} s left")

    def ended(self, result: Result) -> None:
        """Say it, unless there was nothing to do."""
        if result.outcome != "complete" and not self._quiet:
            console.note(_line(result))

    def say(self, text: str) -> None:
        """Say something."""
        console.note(text)


@contextmanager
def progress(*, quiet: bool) -> Iterator[Told]:
    """Show how it goes: on standard error, so that it never mixes with JSON."""
    if quiet or not sys.stderr.isatty():
        yield Lines(quiet=quiet)
        return
    columns = (
        *(TextColumn("{task.description}"), BarColumn(), DownloadColumn()),
        *(TransferSpeedColumn(), TimeRemainingColumn()),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as drawn:
        yield Bar(drawn)


def as_json(report: Report) -> dict[str, Any]:
    """Return the report as data."""
    return {
        "ok": report.ok,
        "source": report.source,
        "bucket": report.bucket,
        "dry_run": report.dry_run,
        "seconds": round(report.seconds, 3),
        "sent_bytes": report.sent_bytes,
        "versions": [asdict(each) for each in report.results],
        "problems": [
            {"path": x.path, "value": x.value, "reason": x.reason, "remedy": x.remedy} for x in report.problems
        ],
        "notes": list(report.notes),
    }


def show(report: Report) -> None:
    """Print a row for each version, problems, and a sum."""
    console.show_table(
        f"Models of {report.source}",
        ["=version", "=outcome", ">files", ">size", ">sent", "=MLflow", "manifest"],
        [
            [
                each.label,
                each.outcome,
                each.files or None,
                decimal(each.bytes) if each.files else None,
                decimal(each.sent_bytes) if each.sent_bytes else None,
                each.registered,
                each.digest[:12] if each.digest else each.reason if each.outcome == "waiting" else None,
            ]
            for each in report.results
        ],
        "none",
    )
    for text in report.notes:
        console.say(f"note: {text}")
    for problem in report.problems:
        console.say(f"problem: {problem}")
    if report.dry_run:
        would, check = report.count("would send"), report.count("would check")
        sums = f"would send {would} versions, {decimal(report.would_send_bytes)}, to bucket {report.bucket}"
        console.say(f"{sums}{f'; would look at {check} that are there' if check else ''}; nothing was changed")
        return
    sent = report.count("sent")
    rate = report.sent_bytes / report.seconds if report.seconds else 0.0
    console.say(
        f"{sent} new, {report.count('repaired')} repaired, {report.count('complete')} as they were,"
        f" {report.count('waiting')} waiting, {len(report.problems)} with problems;"
        f" {decimal(report.sent_bytes)} in {report.seconds:.1f} s ({decimal(int(rate))}/s)"
    )


def _line(result: Result) -> str:
    reason = f": {result.reason}" if result.reason else ""
    number = f", registered as version {result.registered}" if result.registered else ""
    return f"{result.label} {result.outcome}{reason} ({result.files} files, {decimal(result.bytes)}{number})"
