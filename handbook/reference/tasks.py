"""The task graph as a picture and a table, from ``cluster.phases``."""

from __future__ import annotations

from cloudctl.views import drawing
from cluster import phases
from handbook.markdown import cell, table
from handbook.page import Page

INTRODUCTION = """---
hide: [toc, navigation]
---

# Tasks

Made from `cluster/phases.py` when this site is built; `cloudctl phases` prints it, `cloudctl phases --measured` with
the minutes of a stack's own last update. An arrow leads from a task to one that waits for it; tasks of one row can
run side by side. The longest chain is drawn thick: {chain}, {length:g} minutes by the estimates. What makes each:
[Architecture](../architecture.md#tasks-and-components).
"""


def page() -> Page:
    """Return the page; the picture is part of it, so that it follows the page's colours."""
    chain, length = phases.critical_path()
    rows = [
        [
            task.id,
            f"{task.phase} {phases.PHASES[task.phase]}",
            cell(task.title),
            f"{task.minutes:g}",
            ", ".join(task.after) or "nothing",
        ]
        for task in phases.TASKS.values()
    ]
    estimates = {task.id: f"{task.minutes:g} min" for task in phases.TASKS.values()}
    picture = f'<div class="picture">\n{drawing.graph(estimates)}</div>\n'
    columns = ["Task", "Phase", "What", "Minutes, estimated", "Waits for"]
    text = INTRODUCTION.format(chain=" → ".join(task.removeprefix("CLOUD-") for task in chain), length=length)
    return Page("reference/tasks.md", f"{text}\n{picture}\n{table(columns, rows)}")
