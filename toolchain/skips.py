"""A pytest plugin that ends a run with a table of what was not run and why: ``pytest -p toolchain.skips``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

TITLE = "not run on this machine"


def reason_of(longrepr: object) -> str:
    """Return why a test was skipped, from the (file, line, reason) that pytest keeps."""
    text = str(longrepr[2]) if isinstance(longrepr, tuple) and len(longrepr) == 3 else str(longrepr)
    return text.removeprefix("Skipped: ").strip() or "no reason given"


def table(skipped: Iterable[tuple[str, str]]) -> list[str]:
    """Return the lines of the table for (test id, reason) pairs: how many of which file, and why."""
    counts = Counter((node.split("::")[0], reason) for node, reason in skipped)
    if not counts:
        return ["nothing was skipped"]
    width = max(len(file) for file, _ in counts)
    head = f"{'tests':>5}  {'file':<{width}}  why"
    return [head, *(f"{count:>5}  {file:<{width}}  {reason}" for (file, reason), count in sorted(counts.items()))]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table; pytest calls this at the end of the run, before its closing line."""
    skipped = [
        (report.nodeid, reason_of(report.longrepr))
        for report in terminalreporter.stats.get("skipped", ())
        if not hasattr(report, "wasxfail")
    ]
    terminalreporter.section(TITLE)
    for line in table(skipped):
        terminalreporter.write_line(line)
