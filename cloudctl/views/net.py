"""``cloudctl net check`` for people: a matrix of ways, what is broken with its remedy, and what each way carries."""

from __future__ import annotations

from cloudctl import console
from cluster.net import NetReport, Way

MATRIX = 12
"""Nodes up to which a matrix fits a terminal; of more only broken ways are listed."""

FIGURES = 6
"""Nodes up to which the figures of every way are listed."""


def show(found: NetReport) -> None:
    """Print a report."""
    names = list(dict.fromkeys(way.source for way in found.ways))
    if len(names) <= MATRIX:
        console.show_table("Ways", ["from / to", *names], matrix(found, names), "one node only")
    broken = [way for way in found.ways if way.hop]
    rows = [[way.source, way.target, way.hop, way.found] for way in broken]
    if broken:
        console.show_table("First broken hop", ["from", "to", "hop", "found"], rows, "")
    if len(names) <= FIGURES and not broken:
        columns = ["from", "to", ">ping ms", ">Mbit/s", ">packet", ">ports", "pods"]
        console.show_table("Figures", columns, [figures(way) for way in found.ways], "none")
    if found.report.problems or found.report.warnings:
        console.console().print(found.report.as_table())
    for note in found.report.notes:
        console.say(f"note: {note}")
    whole = len(found.ways) - len(broken)
    console.say(f"{whole} of {len(found.ways)} ways are whole; log: {found.report.log}")


def matrix(found: NetReport, names: list[str]) -> list[list[str]]:
    """Return a row for each node: ok, or the first hop that is broken."""
    cells = {(way.source, way.target): way.hop or "ok" for way in found.ways}
    return [[source, *(cells.get((source, target), ".") for target in names)] for source in names]


def figures(way: Way) -> list[object]:
    """Return what a way carries."""
    pods = {True: "ok", False: "broken", None: None}[way.pods]
    return [way.source, way.target, way.ping_ms, way.mbps, way.packet, f"{way.ports_open}/{way.ports}", pods]
