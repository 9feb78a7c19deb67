"""``cloudctl bench`` for people: the targets, what to change, and an older report beside this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cloudctl import console, exits


def exit_code(report: Mapping[str, Any]) -> int:
    """Return 1 where a target is missed, 3 where one that was asked for is unknown."""
    if any(each["verdict"] == "missed" for each in report["targets"]):
        return exits.REFUSED
    return (
        exits.UNKNOWN if any(each["verdict"] == "unknown" and each["asked"] for each in report["targets"]) else exits.OK
    )


def show(
    report: Mapping[str, Any], files: tuple[Path, Path], changes: Sequence[Mapping[str, Any]], *, json_: bool
) -> None:
    """Print a report."""
    if json_:
        console.show_json({**report, "files": [str(each) for each in files], "compared": list(changes)})
        return
    console.say(f"{report['model']} {report['version']} at {report['url']}: {report['load']['told']}")
    latency = ", ".join(f"{name.upper()} {_told(value)} ms" for name, value in report["latency_ms"].items())
    console.say(f"{report['requests']} requests, {_told(report['requests_per_second'])}/s, {latency}")
    rows = [
        [each["name"], each["target"], _told(each["value"]), each["verdict"], each["why"]] for each in report["targets"]
    ]
    console.show_table("Targets", ["=what", "=target", ">measured", "=verdict", "why"], rows, "none")
    for error, count in report["errors"].items():
        console.say(f"error, {count} times: {error}")
    if report["tool"]["limit"]:
        console.say(f"note: {report['tool']['limit']}")
    if changes:
        rows = [[each["name"], _told(each["old"]), _told(each["new"]), _percent(each)] for each in changes]
        console.show_table("Compared", ["=what", ">before", ">now", ">change"], rows, "nothing")
    for each in report["advice"]:
        console.say(f"advice: {each['what']}: {each['why']}\n        {each['where']}")
    console.say(f"kept: {files[0]}, {files[1].name}")


def _told(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _percent(change: Mapping[str, Any]) -> str:
    return "-" if change["change_percent"] is None else f"{change['change_percent']:+.1f} %"
