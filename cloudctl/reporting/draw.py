"""What the page draws: the bars of the chart and of the hosts, as SVG that is as wide as its place.

Pure: data in, text out. Colours are the style sheet's, by the classes ``done``, ``failed``, ``own``, ``others``,
``reserve``, ``grid``, ``cut``. Text stands beside the pictures in the page, so that it wraps and can be read anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

UNITS = 1000
"""Width of a picture in its own units, whatever its width on the page."""
BAR, PHASE_BAR = 22, 8
THINNEST = 2.0
"""Nothing that happened is invisible: the least width of a bar."""


def took(seconds: float | None) -> str:
    """Return a duration in words: ``0.35 s``, ``12.4 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds is None:
        return "unknown"
    if seconds < 10:
        return f"{seconds:.2g} s" if seconds >= 0.01 else "under 0.01 s"
    if seconds < 60:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} days"


def task_bar(row: Mapping[str, Any], chart: Mapping[str, Any]) -> str:
    """Return a task's line of the chart: from its begin to its end, each resource on it."""
    said = f"{row['task']} {row['title']}: {took(row['seconds'])}"
    parts = [_frame(BAR, said), *_grid(chart, BAR), _bar("span", row["begin"], row["end"], 3, BAR - 6, said)]
    for span in row["spans"]:
        name = "failed" if span["result"] == "failed" else "done"
        text = f"{span['name']}: {took(span['seconds'])}{', failed' if name == 'failed' else ''}"
        parts.append(_bar(name, span["begin"], span["end"], 6, BAR - 12, text))
    return "".join([*parts, "</svg>"])


def phase_bar(row: Mapping[str, Any], chart: Mapping[str, Any]) -> str:
    """Return a phase's line of the chart."""
    said = f"Phase {row['phase']} {row['title']}: {took(row['seconds'])}"
    return "".join(
        [
            _frame(PHASE_BAR, said),
            *_grid(chart, PHASE_BAR),
            _bar("phase", row["begin"], row["end"], 2, 4, said),
            "</svg>",
        ]
    )


def ticks(chart: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the words under the chart with their places in percent; those that would meet are left out."""
    found: list[dict[str, Any]] = []
    for tick in chart["ticks"]:
        at = round(100 * tick["at"], 2)
        if not found or at - found[-1]["at"] >= 9:
            found.append({"at": at, "text": took(tick["seconds"]) if tick["seconds"] else "0"})
    return found


def resource_bar(row: Mapping[str, Any]) -> str:
    """Return what is taken of a host's cores, memory or disk: our VMs, others' VMs, the reserve; the rest is free."""
    whole = max(row["have"], row["need"], 1)
    parted = f"{row['planned']} planned, {row['others']} others, {row['reserve']} reserve"
    said = f"{row['resource']}: {parted} of {row['have']}"
    parts, at = [_frame(14, said)], 0.0
    for name, size, text in _pieces(row):
        width = size / whole
        parts.append(_bar(name, at, at + width, 0, 14, text, thinnest=0.0))
        at += width
    if row["need"] > row["have"]:
        edge = UNITS * row["have"] / whole
        parts.append(f'<path class="limit" d="M{edge:.2f},0V14"/>')
    return "".join([*parts, "</svg>"])


def amount(row: Mapping[str, Any], size: float) -> str:
    """Return a size of a host's resource in words, by the row's unit."""
    from cluster.types import gb

    return gb(int(size)) if row["unit"] == "MiB" else f"{size:g}"


def _pieces(row: Mapping[str, Any]) -> Iterable[tuple[str, float, str]]:
    for number, (name, size) in enumerate(row["planned_by"].items()):
        yield f"own{' odd' if number % 2 else ''}", size, f"{name}: {amount(row, size)}"
    for name, size in row["others_by"].items():
        yield "others", size, f"{name}, not of this stack: {amount(row, size)}"
    yield "reserve", row["reserve"], f"stays with the host: {amount(row, row['reserve'])}"


def _frame(height: int, said: str) -> str:
    return (
        f'<svg class="bar" viewBox="0 0 {UNITS} {height}" height="{height}" preserveAspectRatio="none" role="img"'
        f' aria-label="{escape(said)}">'
    )


def _grid(chart: Mapping[str, Any], height: int) -> Sequence[str]:
    lines = [f'<path class="grid" d="M{UNITS * each["at"]:.2f},0V{height}"/>' for each in chart["ticks"]]
    return lines + [f'<path class="cut" d="M{UNITS * each["at"]:.2f},0V{height}"/>' for each in chart["cuts"]]


def _bar(name: str, begin: float, end: float, y: int, height: int, said: str, *, thinnest: float = THINNEST) -> str:
    x = UNITS * begin
    width = max(UNITS * (end - begin), thinnest)
    x = max(0.0, min(x, UNITS - width))
    return (
        f'<rect class="{name}" x="{x:.2f}" y="{y}" width="{width:.2f}" height="{height}">'
        f"<title>{escape(said)}</title></rect>"
    )
