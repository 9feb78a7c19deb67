"""Panels and boards by Grafana's own builders (grafana-foundation-sdk): the few forms that our dashboards have.

Only who renders the dashboards anew imports this: the SDK takes half a second to import.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import count
from typing import Any

from grafana_foundation_sdk.builders import common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders.dashboard import Dashboard, Row, ThresholdsConfig
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DataSourceRef, Threshold, ThresholdsMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from cluster.monitoring.dashboards import DATASOURCE, TAG

Query = tuple[str, str]
"""Expression and legend."""

Panel = timeseries.Panel | stat.Panel | table.Panel

_SOURCE = DataSourceRef(type_val="prometheus", uid=DATASOURCE)
_WIDE, _HALF, _SMALL = 24, 12, 4
_TALL, _LOW = 8, 4


def series(
    title: str, queries: Sequence[Query], unit: str = "short", limit: float | None = None, about: str = ""
) -> timeseries.Panel:
    """Return lines over time in Grafana's ``unit``; at ``limit`` a line is drawn: that is where it gets bad."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(about)
        .datasource(_SOURCE)
        .unit(unit)
        .min(0)
        .span(_HALF)
        .height(_TALL)
        .fill_opacity(10)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
        .targets([_query(each, chr(ord("A") + place)) for place, each in enumerate(queries)])
    )
    if limit is not None:
        panel = panel.thresholds(_bad_from(limit)).thresholds_style(
            common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.LINE)
        )
    return panel


def number(
    title: str, expression: str, unit: str = "short", *, bad_from: float | None = None, good_from: float | None = None
) -> stat.Panel:
    """Return one number as it is now: green, and red from ``bad_from`` on, or red until ``good_from``."""
    panel = (
        stat.Panel()
        .title(title)
        .datasource(_SOURCE)
        .unit(unit)
        .span(_SMALL)
        .height(_LOW)
        .no_value("-")
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .targets([_query((expression, "")).instant()])
    )
    if good_from is not None:
        return panel.thresholds(_steps("red", ("green", good_from)))
    return panel.thresholds(_bad_from(bad_from) if bad_from is not None else _steps("green"))


def listing(title: str, expression: str, unit: str = "short", about: str = "") -> table.Panel:
    """Return a table of what an expression returns now: a row for each series, a column for each label."""
    return (
        table.Panel()
        .title(title)
        .description(about)
        .datasource(_SOURCE)
        .unit(unit)
        .span(_HALF)
        .height(_TALL)
        .targets([_query((expression, "")).instant().format(PromQueryFormat.TABLE)])
    )


def board(title: str, about: str, rows: Sequence[tuple[str, Sequence[Panel]]]) -> str:
    """Return a dashboard's JSON: rows of panels, each with its title; its uid follows from the title."""
    made = (
        Dashboard(title)
        .uid(slug(title))
        .description(about)
        .tags([TAG])
        .readonly()
        .refresh("30s")
        .time("now-6h", "now")
        .tooltip(DashboardCursorSync.CROSSHAIR)
    )
    numbers = count(1)
    for heading, panels in rows:
        made = made.with_row(Row(heading).id(next(numbers)))
        for panel in panels:
            made = made.with_panel(panel.id(next(numbers)))
    return _lines(json.loads(json.dumps(made.build(), cls=JSONEncoder)))


def slug(title: str) -> str:
    """Return a title as uid and name of its file."""
    return "cloud-" + "-".join(title.lower().split())


def _lines(dashboard: dict[str, Any]) -> str:
    """Return JSON with a line for each key and each panel, so that a change is seen as what it is."""
    lines = []
    for key in sorted(dashboard):
        value = json.dumps(dashboard[key], sort_keys=True)
        if key == "panels":
            value = "[\n" + ",\n".join(json.dumps(panel, sort_keys=True) for panel in dashboard[key]) + "\n]"
        lines.append(f"{json.dumps(key)}: {value}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _query(query: Query, ref: str = "A") -> prometheus.Dataquery:
    expression, legend = query
    made = prometheus.Dataquery().expr(" ".join(expression.split())).legend_format(legend)
    return made.datasource(_SOURCE).ref_id(ref)


def _bad_from(limit: float) -> ThresholdsConfig:
    return _steps("green", ("red", limit))


def _steps(first: str, *more: tuple[str, float]) -> ThresholdsConfig:
    steps = [Threshold(color=first), *(Threshold(color=color, value=value) for color, value in more)]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
