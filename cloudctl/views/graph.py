"""The task graph as data, as Mermaid text and as an SVG picture; what is in it, ``cluster.phases`` decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

from cluster import phases

BOX_WIDTH, BOX_HEIGHT = 172, 46
GAP_X, GAP_Y = 46, 22
MARGIN, HEADER = 24, 40


@dataclass(frozen=True)
class Box:
    """A task's place in the picture, in pixels: the upper left corner of its box."""

    task: str
    x: int
    y: int


def as_data(minutes: Mapping[str, float]) -> dict[str, Any]:
    """Return the graph for ``--json``; ``minutes`` replaces the estimates of the tasks it names."""
    chain, length = phases.critical_path(minutes)
    rows = phases.levels()
    row_of = {task: number for number, row in enumerate(rows) for task in row}
    return {
        "phases": [{"number": number, "title": title} for number, title in phases.PHASES.items()],
        "tasks": [
            {
                "id": task.id,
                "title": task.title,
                "phase": task.phase,
                "after": list(task.after),
                "row": row_of[task.id],
                "minutes": round(minutes.get(task.id, task.minutes), 2),
                "measured": task.id in minutes,
                "critical": task.id in chain,
            }
            for task in phases.TASKS.values()
        ],
        "rows": rows,
        "critical_path": {"tasks": chain, "minutes": round(length, 2)},
        "one_by_one_minutes": round(sum(minutes.get(task.id, task.minutes) for task in phases.TASKS.values()), 2),
    }


def mermaid(minutes: Mapping[str, float]) -> str:
    """Return the graph as a Mermaid flowchart, one subgraph per phase, the critical path thick."""
    chain, _ = phases.critical_path(minutes)
    critical = set(pairwise(chain))
    lines = ["flowchart LR"]
    for number, title in phases.PHASES.items():
        lines.append(f'  subgraph P{number}["Phase {number}: {title}"]')
        for task in phases.TASKS.values():
            if task.phase == number:
                lines.append(f'    {_node(task.id)}["{task.id}<br/>{task.title}"]')
        lines.append("  end")
    for before, after in sorted(phases.edges()):
        arrow = "==>" if (before, after) in critical else "-->"
        lines.append(f"  {_node(before)} {arrow} {_node(after)}")
    lines.append("  classDef critical stroke:#b45309,stroke-width:3px")
    lines.append(f"  class {','.join(map(_node, chain))} critical")
    return "\n".join(lines) + "\n"


def svg(minutes: Mapping[str, float]) -> str:
    """Return the graph as an SVG: a column per row of tasks that can run side by side, the critical path in colour."""
    chain, length = phases.critical_path(minutes)
    critical = set(pairwise(chain))
    boxes = layout()
    width = max(box.x for box in boxes.values()) + BOX_WIDTH + MARGIN
    height = max(box.y for box in boxes.values()) + BOX_HEIGHT + MARGIN
    title = f"Tasks and what they wait for; longest chain {length:.0f} min of {chain[0]} to {chain[-1]}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' font-family="system-ui, sans-serif" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="{MARGIN}" y="{HEADER - 12}" font-size="14" fill="#1f2937">{escape(title)}</text>',
    ]
    ordinary = sorted(phases.edges() - critical)
    parts += [_arrow(boxes[before], boxes[after], "#9ca3af", 1.5) for before, after in ordinary]
    parts += [_arrow(boxes[before], boxes[after], "#b45309", 3) for before, after in sorted(critical)]
    parts += [_box(box, minutes.get(box.task), critical=box.task in chain) for box in boxes.values()]
    return "\n".join([*parts, "</svg>", ""])


def layout() -> dict[str, Box]:
    """Return each task's place: a column per row of ``phases.levels``, in it each task near what it waits for."""
    boxes: dict[str, Box] = {}
    columns = phases.levels()
    tallest = max(map(len, columns))
    for number, column in enumerate(columns):
        ordered = sorted(column, key=lambda task: (_middle(task, boxes), task))
        offset = (tallest - len(ordered)) * (BOX_HEIGHT + GAP_Y) // 2
        for place, task in enumerate(ordered):
            x = MARGIN + number * (BOX_WIDTH + GAP_X)
            boxes[task] = Box(task, x, HEADER + MARGIN + offset + place * (BOX_HEIGHT + GAP_Y))
    return boxes


def _middle(task: str, boxes: Mapping[str, Box]) -> float:
    """Return the mean height of what a task waits for: few crossings when a column is sorted by it."""
    heights = [boxes[before].y for before in phases.TASKS[task].after]
    return sum(heights) / len(heights) if heights else 0.0


def _arrow(before: Box, after: Box, colour: str, thickness: float) -> str:
    x1, y1 = before.x + BOX_WIDTH, before.y + BOX_HEIGHT // 2
    x2, y2 = after.x - 7, after.y + BOX_HEIGHT // 2
    bend = GAP_X
    curve = f"M{x1},{y1} C{x1 + bend},{y1} {x2 - bend},{y2} {x2},{y2}"
    head = f"M{x2},{y2 - 4} L{x2 + 7},{y2} L{x2},{y2 + 4} Z"
    return (
        f'<path d="{curve}" fill="none" stroke="{colour}" stroke-width="{thickness}"/>'
        f'<path d="{head}" fill="{colour}" data-edge="{before.task} {after.task}"/>'
    )


def _box(box: Box, measured: float | None, *, critical: bool) -> str:
    task = phases.TASKS[box.task]
    took = f"{task.minutes:g} min est." if measured is None else f"{measured:.1f} min"
    colour, fill = ("#b45309", "#fff7ed") if critical else ("#4b5563", "#f9fafb")
    title = task.title if len(task.title) <= 27 else f"{task.title[:26].rstrip()}…"
    return (
        f'<g data-task="{task.id}"><title>{escape(f"{task.id} {task.title}")}</title>'
        f'<rect x="{box.x}" y="{box.y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6"'
        f' fill="{fill}" stroke="{colour}"/>'
        f'<text x="{box.x + 8}" y="{box.y + 18}" font-size="12" font-weight="600" fill="#111827">{task.id}'
        f'<tspan font-weight="400" fill="#6b7280" dx="6">{took}</tspan></text>'
        f'<text x="{box.x + 8}" y="{box.y + 36}" font-size="12" fill="#374151">{escape(title)}</text></g>'
    )


def _node(task: str) -> str:
    return task.replace("-", "").replace(".", "_")
