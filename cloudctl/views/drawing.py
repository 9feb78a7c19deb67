"""The task graph drawn for a page: colours by the page's style sheet, so that it is light or dark as the page is.

Two pictures of the same graph: ``wide`` from left to right, ``narrow`` from top to bottom for a telephone. The page
shows one of them, by the classes of the same names. Classes that a style sheet colours: ``task`` with ``critical`` or
one of ``STATES``, ``edge`` and ``head`` with ``critical``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from textwrap import wrap

from cloudctl.views.graph import Geometry, arrow, layout
from cluster import phases

STATES = ("done", "partial", "missing", "skipped", "pending-operation")
"""How far a task is, in the words of ``cloudctl status``."""

WIDE = Geometry(width=140, height=74, gap_x=16, gap_y=14, margin=2, header=2)
ROW, RAIL, DOT = 46, 10, 5
"""Height of a line of the narrow picture, distance of two rails in it, radius of a dot."""
NARROW_WIDTH = 340
LETTERS_WIDE, LETTERS_NARROW = 18, 30


def graph(
    took: Mapping[str, str], states: Mapping[str, str] | None = None, minutes: Mapping[str, float] | None = None
) -> str:
    """Return both pictures.

    ``took``: task -> how long it took, in words; ``states``: task -> one of ``STATES``; ``minutes`` replaces the
    estimates by which the longest chain is found.
    """
    chain = tuple(phases.critical_path(minutes)[0])
    return wide(took, states or {}, chain) + narrow(took, states or {}, chain)


def wide(took: Mapping[str, str], states: Mapping[str, str], chain: Sequence[str]) -> str:
    """Return the graph from left to right, a column per row of tasks that can run side by side."""
    critical = set(pairwise(chain))
    boxes = layout(WIDE)
    width = max(box.x for box in boxes.values()) + WIDE.width + WIDE.margin
    height = max(box.y for box in boxes.values()) + WIDE.height + WIDE.margin
    parts = [_open("wide", width, height)]
    for edge in sorted(phases.edges(), key=lambda pair: (pair in critical, pair)):
        curve, head = arrow(boxes, *edge, WIDE)
        mark = " critical" if edge in critical else ""
        parts.append(f'<path class="edge{mark}" d="{curve}"/><path class="head{mark}" d="{head}"/>')
    for task in phases.TASKS.values():
        box = boxes[task.id]
        lines = wrap(task.title, LETTERS_WIDE, break_on_hyphens=False, max_lines=3, placeholder="…")
        texts = [f'<text class="id" x="{box.x + 8}" y="{box.y + 17}">{_short(task.id)}{_took(took, task.id)}</text>']
        texts += [
            f'<text x="{box.x + 8}" y="{box.y + 34 + 15 * n}">{escape(line)}</text>' for n, line in enumerate(lines)
        ]
        shape = f'<rect x="{box.x}" y="{box.y}" width="{WIDE.width}" height="{WIDE.height}" rx="6"/>'
        parts.append(_task(task.id, states, task.id in chain, shape + "".join(texts)))
    return "\n".join([*parts, "</svg>\n"])


def narrow(took: Mapping[str, str], states: Mapping[str, str], chain: Sequence[str]) -> str:
    """Return the graph from top to bottom, a task a line; an arc at the left leads from a task to one that waits."""
    critical = set(pairwise(chain))
    order = [task for row in phases.levels() for task in row]
    line = {task: number for number, task in enumerate(order)}
    rails = _rails({edge: (line[edge[0]], line[edge[1]]) for edge in phases.edges()})
    left = RAIL * (max(rails.values()) + 1) + DOT + 2
    parts = [_open("narrow", NARROW_WIDTH, ROW * len(order))]
    for edge in sorted(rails, key=lambda pair: (pair in critical, pair)):
        x, mark = left - RAIL * (rails[edge] + 1), " critical" if edge in critical else ""
        begin, end = (ROW * line[task] + ROW // 2 for task in edge)
        curve = f"M{left},{begin} Q{x},{begin} {x},{begin + 12} V{end - 12} Q{x},{end} {left - DOT},{end}"
        parts.append(f'<path class="edge{mark}" d="{curve}"/>')
    for task, number in line.items():
        y, x = ROW * number + ROW // 2, left + 14
        title = phases.TASKS[task].title
        title = title if len(title) <= LETTERS_NARROW else f"{title[: LETTERS_NARROW - 1].rstrip()}…"
        texts = f'<text class="id" x="{x}" y="{y - 3}">{_short(task)}{_took(took, task)}</text>'
        texts += f'<text x="{x}" y="{y + 13}">{escape(title)}</text>'
        parts.append(_task(task, states, task in chain, f'<circle cx="{left}" cy="{y}" r="{DOT}"/>{texts}'))
    return "\n".join([*parts, "</svg>\n"])


def _rails(lines: Mapping[tuple[str, str], tuple[int, int]]) -> dict[tuple[str, str], int]:
    """Give each edge a rail, the shortest first: 0 is nearest to the tasks; edges of one rail do not overlap."""
    found: dict[tuple[str, str], int] = {}
    for edge in sorted(lines, key=lambda each: (lines[each][1] - lines[each][0], lines[each])):
        begin, end = lines[edge]
        busy = {rail for other, rail in found.items() if lines[other][0] < end and begin < lines[other][1]}
        found[edge] = next(rail for rail in range(len(lines)) if rail not in busy)
    return found


def _open(name: str, width: int, height: int) -> str:
    title = "The tasks and what each waits for, from the first to the last"
    return (
        f'<svg class="graph {name}" viewBox="0 0 {width} {height}" role="img" aria-label="{title}">'
        f"<title>{title}</title>"
    )


def _task(task: str, states: Mapping[str, str], critical: bool, inside: str) -> str:
    state = states.get(task, "")
    classes = " ".join(filter(None, ["task", state, "critical" if critical else ""]))
    said = f"{task}: {phases.TASKS[task].title}" + (f" ({state})" if state else "")
    return f'<g class="{classes}" data-task="{task}"><title>{escape(said)}</title>{inside}</g>'


def _took(took: Mapping[str, str], task: str) -> str:
    return f'<tspan class="took" dx="6">{escape(took[task])}</tspan>' if task in took else ""


def _short(task: str) -> str:
    return task.removeprefix("CLOUD-")
