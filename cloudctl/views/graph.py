"""The task graph as data, as Mermaid text and as an SVG picture; what is in it, ``cluster.phases`` decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

from cluster import phases

BOX_WIDTH, BOX_HEIGHT = 196, 46
GAP_X, GAP_Y = 46, 22
MARGIN, HEADER = 24, 56
HEAD = 7


@dataclass(frozen=True)
class Geometry:
    """Sizes of a picture, in pixels: a task's box, the room between boxes, and the margins."""

    width: int = BOX_WIDTH
    height: int = BOX_HEIGHT
    gap_x: int = GAP_X
    gap_y: int = GAP_Y
    margin: int = MARGIN
    header: int = HEADER


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
        f'<text x="{MARGIN}" y="{HEADER - 28}" font-size="14" fill="#1f2937">{escape(title)}</text>',
    ]
    ordinary = sorted(phases.edges() - critical)
    parts += [_arrow(boxes, before, after, "#9ca3af", 1.5) for before, after in ordinary]
    parts += [_arrow(boxes, before, after, "#b45309", 3) for before, after in sorted(critical)]
    tasks = [box for item, box in boxes.items() if isinstance(item, str)]
    parts += [_box(box, minutes.get(box.task), critical=box.task in chain) for box in tasks]
    return "\n".join([*parts, "</svg>", ""])


@dataclass(frozen=True)
class Lane:
    """Room in a column for an arrow that passes through it: without, the arrow would cross other tasks' boxes."""

    before: str
    after: str
    column: int


def layout(size: Geometry = Geometry()) -> dict[str | Lane, Box]:
    """Return the place of each task and lane: a column per row of ``phases.levels``, each near what it comes from."""
    rows = phases.levels()
    column_of = {task: number for number, row in enumerate(rows) for task in row}
    columns: list[list[str | Lane]] = [list(row) for row in rows]
    for before, after in sorted(phases.edges()):
        for number in range(column_of[before] + 1, column_of[after]):
            columns[number].append(Lane(before, after, number))
    tallest = max(map(len, columns))
    boxes: dict[str | Lane, Box] = {}
    for number, column in enumerate(columns):
        ordered = sorted(column, key=lambda item: (_middle(item, boxes), str(item)))
        offset = (tallest - len(ordered)) * (size.height + size.gap_y) // 2
        for place, item in enumerate(ordered):
            x = size.margin + number * (size.width + size.gap_x)
            boxes[item] = Box(str(item), x, size.header + offset + place * (size.height + size.gap_y))
    return boxes


def _sources(item: str | Lane) -> list[str | Lane]:
    """Return what stands one column to the left at the other end of an item's arrows."""
    if isinstance(item, Lane):
        return [Lane(item.before, item.after, item.column - 1), item.before]
    return [*phases.TASKS[item].after]


def _middle(item: str | Lane, boxes: Mapping[str | Lane, Box]) -> float:
    """Return the mean height of what an item comes from: few crossings when a column is sorted by it."""
    heights = [boxes[source].y for source in _sources(item) if source in boxes]
    if isinstance(item, Lane):
        heights = heights[:1]
    return sum(heights) / len(heights) if heights else 0.0


def _arrow(boxes: Mapping[str | Lane, Box], before: str, after: str, colour: str, thickness: float) -> str:
    curve, head = arrow(boxes, before, after)
    return (
        f'<path d="{curve}" fill="none" stroke="{colour}" stroke-width="{thickness}"/>'
        f'<path d="{head}" fill="{colour}" data-edge="{before} {after}"/>'
    )


def arrow(
    boxes: Mapping[str | Lane, Box],
    before: str,
    after: str,
    size: Geometry = Geometry(),
) -> tuple[str, str]:
    """Return the path of an edge and that of its head, led through its lanes where it is longer than a column."""
    lanes = sorted((key for key in boxes if isinstance(key, Lane)), key=lambda lane: lane.column)
    through = [boxes[lane] for lane in lanes if (lane.before, lane.after) == (before, after)]
    middle = size.height // 2
    stops = [boxes[before], *through, boxes[after]]
    curve = f"M{stops[0].x + size.width},{stops[0].y + middle}"
    for one, two in pairwise(stops):
        x1, y1, x2, y2 = one.x + size.width, one.y + middle, two.x, two.y + middle
        bend = size.gap_x // 2
        end = x2 - HEAD if two is stops[-1] else x2
        curve += f" C{x1 + bend},{y1} {end - bend},{y2} {end},{y2}"
        if two is not stops[-1]:
            curve += f" H{x2 + size.width}"
    tip, y = stops[-1].x, stops[-1].y + middle
    return curve, f"M{tip - HEAD},{y - 4} L{tip},{y} L{tip - HEAD},{y + 4} Z"


def _box(box: Box, measured: float | None, *, critical: bool) -> str:
    task = phases.TASKS[box.task]
    took = f"{task.minutes:g} min est." if measured is None else f"{measured:.1f} min"
    colour, fill = ("#b45309", "#fff7ed") if critical else ("#4b5563", "#f9fafb")
    title = task.title if len(task.title) <= 31 else f"{task.title[:30].rstrip()}…"
    return (
        f'<g data-task="{task.id}"><title>{escape(f"{task.id} {task.title}")}</title>'
        f'<rect x="{box.x}" y="{box.y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6"'
        f' fill="{fill}" stroke="{colour}"/>'
        f'<text x="{box.x + 8}" y="{box.y + 18}" font-size="12" font-weight="600" fill="#111827">{task.id}'
        f'<tspan font-weight="400" fill="#6b7280" dx="6">{took}</tspan></text>'
        f'<text x="{box.x + 8}" y="{box.y + 36}" font-size="11" fill="#374151">{escape(title)}</text></g>'
    )


def _node(task: str) -> str:
    return task.replace("-", "").replace(".", "_")
