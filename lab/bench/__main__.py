"""``python -m lab.bench``: measure the ratios and write docs/performance.md. ``make bench`` calls this."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cluster.problems import InputError, Problem
from lab.bench import plan, report
from lab.bench.machine import describe
from lab.workspace import ROOT, Workspace

PAGE = ROOT / "docs" / "performance.md"


def bench(
    only: Annotated[list[str] | None, typer.Option(help=f"one of {', '.join(plan.NAMES)}; may be repeated")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="tiny stacks, one round: to see that it works")] = False,
    json_: Annotated[bool, typer.Option("--json", help="print everything as JSON")] = False,
    home: Annotated[Path, typer.Option(help="working folder")] = ROOT / ".bench",
    page: Annotated[
        Path | None, typer.Option(help="page to write; left out: docs/performance.md, if all is measured")
    ] = None,
) -> None:
    """Measure ratios of speed: our program and pack against the least they could cost. Takes about half an hour."""
    unknown = sorted(set(only or ()) - set(plan.NAMES))
    if unknown:
        raise InputError("--only", [Problem("only", unknown[0], "is not measured", f"one of {', '.join(plan.NAMES)}")])
    progress = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    effort = plan.QUICK if quick else plan.FULL
    machine = describe(Workspace("prod", home.resolve()).environment())
    ratios = plan.measure(home.resolve(), effort, only or plan.NAMES, progress.print)
    if json_:
        print(json.dumps(report.as_json(ratios, machine), indent=1))
    else:
        print("\n".join(report.as_line(each) for each in ratios))
    target = page or (None if only or quick else PAGE)
    if target is not None:
        target.write_text(report.as_page(ratios, machine))
        progress.print(f"written: {target}")


def main() -> None:
    """Run; bad input and a failed run are told in their own words."""
    try:
        typer.run(bench)
    except (InputError, RuntimeError) as error:
        print(error, file=sys.stderr)
        sys.exit(2 if isinstance(error, InputError) else 1)


if __name__ == "__main__":
    main()
