"""``cloudctl phases``: the task graph, its critical path, a picture of it."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cloudctl import console, options, project
from cluster.problems import InputError, Problem


class Format(StrEnum):
    """How the graph is written."""

    TABLE = "table"
    MERMAID = "mermaid"
    SVG = "svg"
    JSON = "json"


def phases(
    style: Annotated[Format, typer.Option("--format", help="How to write the graph.")] = Format.TABLE,
    json_: options.Json = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write to this file.", metavar="FILE")] = None,
    durations: Annotated[
        Path | None, typer.Option(help='Minutes that replace the estimates: JSON {"CLOUD-2.1": 14.5}.', metavar="FILE")
    ] = None,
    measured: Annotated[bool, typer.Option("--measured", help="Take minutes from the stack's own state.")] = False,
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    lab: options.Lab = False,
) -> None:
    """Show the task graph and its longest chain.

    What waits for what, and what can run side by side.

    \b
    Examples:
      cloudctl phases                              the table
      cloudctl phases --format svg --out phases.svg
      cloudctl phases --measured --stack prod      with the minutes that the last full up took
    """
    from cloudctl.views import graph

    minutes = _from_file(durations) if durations else {}
    if measured:
        minutes |= _from_state(stack, config_file, lab)
    if json_:
        style = Format.JSON
    if style is Format.TABLE and out is not None:
        remedy = "add --format svg, mermaid or json"
        raise InputError("command line", [Problem("--out", str(out), "cannot hold a table", remedy)])
    if style is Format.TABLE:
        _table(graph.as_data(minutes))
        return
    text = {
        Format.MERMAID: lambda: graph.mermaid(minutes),
        Format.SVG: lambda: graph.svg(minutes),
        Format.JSON: lambda: json.dumps(graph.as_data(minutes), indent=2) + "\n",
    }[style]()
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text)
        console.note(f"wrote {out}")


def _table(data: dict[str, object]) -> None:
    tasks = data["tasks"]
    assert isinstance(tasks, list)
    rows = [
        [
            "*" if task["critical"] else "",
            task["id"],
            task["title"],
            task["row"],
            f"{task['minutes']:g}" + ("" if task["measured"] else " est."),
            " ".join(before.removeprefix("CLOUD-") for before in task["after"]),
        ]
        for task in tasks
    ]
    console.show_table("Tasks", ["", "task", "what", ">row", ">minutes", "waits for"], rows, "none")
    path = data["critical_path"]
    assert isinstance(path, dict)
    console.say("Tasks of one row can run side by side; * marks the longest chain:")
    console.say(f"  {' > '.join(task.removeprefix('CLOUD-') for task in path['tasks'])}")
    console.say(f"  {path['minutes']:g} min, one by one {data['one_by_one_minutes']:g} min")


def _from_file(path: Path) -> dict[str, float]:
    from cluster.phases import TASKS

    try:
        raw = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise InputError(str(path), [Problem("file", None, f"is not JSON: {error}", "mend it")]) from None
    if not isinstance(raw, dict):
        raise InputError(str(path), [Problem("file", None, "is not an object", 'write {"CLOUD-2.1": 14.5}')])
    problems = [
        Problem(
            str(key), value, "is not the minutes of a task", f"tasks: {min(TASKS)} to {max(TASKS)}, minutes from 0 on"
        )
        for key, value in raw.items()
        if key not in TASKS or isinstance(value, bool) or not isinstance(value, int | float) or value < 0
    ]
    if problems:
        raise InputError(str(path), problems)
    return {str(key): float(value) for key, value in raw.items()}


def _from_state(stack: str | None, config_file: Path | None, lab: bool) -> dict[str, float]:
    from cloudctl import engine
    from cluster import state

    chosen = project.choose(stack, config_file, lab=lab)
    return state.minutes_of(engine.for_stack(project.root(), chosen.name, lab=lab).export(chosen.name))
