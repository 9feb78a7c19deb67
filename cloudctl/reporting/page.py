"""The page: the data through one template; whatever comes from a stack is text there, never markup."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from cloudctl.reporting import draw
from cloudctl.views import drawing

TEMPLATES = Path(__file__).parent / "templates"


def html(data: Mapping[str, Any]) -> str:
    """Return the page of a report."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "style": Markup((TEMPLATES / "report.css").read_text("utf-8")),  # noqa: S704 - ours, no data in it
        "graph": Markup(_graph(data)),  # noqa: S704 - escaped where it is drawn
        "task_bar": _drawn(draw.task_bar),
        "phase_bar": _drawn(draw.phase_bar),
        "resource_bar": _drawn(draw.resource_bar),
        "ticks": draw.ticks,
        "amount": draw.amount,
        "took": draw.took,
        "day": day,
    }
    return environment.get_template("report.html.j2").render(data=data, summary=summary(data))


def summary(data: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the figures at the top: (word, figure, class): how much of what is planned is there."""
    told = data["status"]
    tasks = [row for row in told["phases"] if row["state"] != "skipped"]
    running = sum(vm["state"] == "running" for vm in told["vms"])
    done = sum(row["state"] == "done" for row in tasks)
    asked = [each for each in told["answers"] if each["ok"] is not None]
    up = sum(each["state"] == "up" for each in asked)
    refused = sum(each["severity"] == "refuse" for each in data["findings"])
    gpus = [gpu for host in data["hosts"] for vm in host["vms"] for gpu in vm["gpus"] if gpu["state"] == "ours"]
    last = data["timeline"]["last"]
    return [
        ("tasks done", f"{done} of {len(tasks)}", _class(done == len(tasks))),
        ("VMs running", f"{running} of {len(told['vms'])}", _class(running == len(told["vms"]))),
        ("GPUs in use", str(len(gpus)), ""),
        (
            "services answer",
            f"{up} of {len(asked)}" if asked else "not asked",
            _class(up == len(asked)) if asked else "dim",
        ),
        ("against the plan", str(refused) if refused else "nothing", _class(not refused)),
        ("last update", draw.took(last["seconds"]) if last else "unknown", "" if last else "dim"),
    ]


def day(seconds: float) -> str:
    """Return a moment in words, in universal time."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%-d %B %Y, %H:%M UTC")


def _graph(data: Mapping[str, Any]) -> str:
    took = {row["task"]: draw.took(row["seconds"]) for row in data["timeline"]["tasks"]}
    minutes = {row["task"]: row["seconds"] / 60 for row in data["timeline"]["tasks"]}
    states = {row["task"]: row["state"] for row in data["status"]["phases"]}
    return drawing.graph(took, states, minutes)


def _class(good: bool) -> str:
    return "good" if good else "bad"


def _drawn(function: Any) -> Any:
    return lambda *values: Markup(function(*values))  # noqa: S704 - escaped where it is drawn
