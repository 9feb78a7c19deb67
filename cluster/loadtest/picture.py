"""A report as a picture: latency over the time of the load, and the target, as one SVG that loads nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pygal
from pygal.style import LightSolarizedStyle

_SCRIPT = re.compile(r"<script.*?</script>", re.DOTALL)


def draw(report: Mapping[str, Any]) -> str:
    """Return the SVG of a report."""
    chart = pygal.XY(
        # pygal would have the picture fetch its scripts from the internet
        js=[],
        style=LightSolarizedStyle,
        title=f"{report['model']} {report['version']}, {report['at']}\n{_summary(report)}",
        x_title=f"seconds; {report['load']['told']}",
        y_title="ms",
        width=900,
        height=480,
        dots_size=1.5,
        pretty_print=False,
        no_prefix=True,
        disable_xml_declaration=True,
        include_x_axis=True,
    )
    rows = report["over_time"]
    for name in ("p50", "p95", "p99"):
        chart.add(name, [(row["at"], row[name]) for row in rows if row[name] is not None])
    bound = next(each["bound"] for each in report["targets"] if each["name"] == "p95")
    ends = [0.0, float(report["load"]["seconds"])]
    chart.add("target p95", [(at, bound) for at in ends], show_dots=False, stroke_style={"dasharray": "6, 4"})
    # without its scripts the one for their settings has no use
    return _SCRIPT.sub("", str(chart.render(is_unicode=True)))


def _summary(report: Mapping[str, Any]) -> str:
    shown = ", ".join(f"{name} {value:.0f} ms" for name, value in report["latency_ms"].items() if value is not None)
    return f"{shown or 'no right answer'}, {report['requests_per_second']:.1f} requests/s"
