"""The figures as a page, as lines and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.bench.timing import Ratio

_ABOUT = Path(__file__).parent / "about.md"


def as_json(ratios: Sequence[Ratio], machine: Mapping[str, str]) -> dict[str, Any]:
    """Return everything that was measured."""
    return {
        "machine": dict(machine),
        "ratios": [
            {
                "name": each.name,
                "title": each.title,
                "goal": each.goal,
                "median": each.median,
                "rounds": list(each.rounds),
                "seconds": dict(each.seconds),
                "met": each.met,
                "notes": list(each.notes),
            }
            for each in ratios
        ],
    }


def as_line(ratio: Ratio) -> str:
    """Return one ratio as a line for the terminal."""
    return f"{'ok  ' if ratio.met else 'over'}  {ratio.told():<18} goal {ratio.goal:.2f}  {ratio.title}"


def as_page(ratios: Sequence[Ratio], machine: Mapping[str, str]) -> str:
    """Return docs/performance.md."""
    head, _, tail = _ABOUT.read_text().partition("<!-- figures -->\n")
    return "".join([head, _table(ratios), "\n", _notes(ratios), _machine(machine), tail])


def _table(ratios: Sequence[Ratio]) -> str:
    rows = ["| what | ratio (range) | goal, at most | kept | seconds, medians |", "|---|---|---|---|---|"]
    for each in ratios:
        seconds = ", ".join(f"{name.rpartition(': ')[2]} {value:.1f}" for name, value in each.seconds.items())
        rows.append(f"| {each.title} | {each.told()} | {each.goal:.2f} | {'yes' if each.met else 'no'} | {seconds} |")
    return "\n".join(rows) + "\n"


def _notes(ratios: Sequence[Ratio]) -> str:
    lines = [f"- {each.name}: {note}." for each in ratios for note in each.notes]
    return "\n".join(lines) + "\n\n" if lines else ""


def _machine(machine: Mapping[str, str]) -> str:
    return "".join(["The machine: ", "; ".join(f"{key} {value}" for key, value in machine.items()), ".\n"])
