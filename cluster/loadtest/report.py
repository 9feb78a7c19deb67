"""A bench's report as data: what is kept, printed, and compared with an older one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cluster.loadtest.drive import Load
from cluster.loadtest.judge import Verdict
from cluster.loadtest.recommend import Advice
from cluster.loadtest.samples import PERCENTILES, Run, over_time
from cluster.problems import InputError, Problem

FORMAT = 1


def make(
    about: Mapping[str, str], load: Load, run: Run, verdicts: Sequence[Verdict], advice: Sequence[Advice]
) -> dict[str, Any]:
    """Return the report. ``about``: model, version, runtime, stack, url, and when it was."""
    return {
        "format": FORMAT,
        **about,
        "load": asdict(load) | {"told": load.told()},
        "requests": len(run.samples),
        "latency_ms": {f"p{each}": _rounded(run.latency(each)) for each in PERCENTILES},
        "requests_per_second": _rounded(run.rate),
        "errors": run.errors(),
        "tool": {
            "name": "locust",
            "processor_percent": _rounded(run.processor_percent),
            "late_s": _rounded(run.late),
            "limit": run.tool_limit(),
        },
        "targets": [_target(each) for each in verdicts],
        "advice": [asdict(each) for each in advice],
        "over_time": over_time(run),
    }


def keep(folder: Path, report: Mapping[str, Any], picture: str) -> tuple[Path, Path]:
    """Write report and picture as ``NAME-<time>.json`` and ``.svg``; return both places."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{report['model']}-{str(report['at']).replace(':', '').replace('+0000', 'Z')}"
    data, drawn = folder / f"{stem}.json", folder / f"{stem}.svg"
    data.write_text(json.dumps(report, indent=1) + "\n")
    drawn.write_text(picture)
    return data, drawn


def read(path: Path) -> dict[str, Any]:
    """Return a kept report. Raises InputError where the file is none."""
    try:
        found = json.loads(path.read_text())
        if found["format"] == FORMAT and isinstance(found["latency_ms"], dict):
            return dict(found)
        reason = f"has format {found['format']}, not {FORMAT}"
    except (ValueError, KeyError, TypeError):
        reason = "is no report of cloudctl bench"
    remedy = "take a file of .cloud/<stack>/bench, made by this version"
    raise InputError(str(path), [Problem("--compare", None, reason, remedy)])


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return ``name old new change_percent`` of each figure that both reports have; the change is None from zero."""
    before, after = _figures(old), _figures(new)
    return [
        {"name": name, "old": before[name], "new": value, "change_percent": _change(before[name], value)}
        for name, value in after.items()
        if name in before
    ]


def _figures(report: Mapping[str, Any]) -> dict[str, float]:
    named = {**report["latency_ms"], **{each["name"]: each["value"] for each in report["targets"]}}
    return {name: float(value) for name, value in named.items() if value is not None}


def _change(old: float, new: float) -> float | None:
    return _rounded(100 * (new / old - 1)) if old else None


def _target(verdict: Verdict) -> dict[str, Any]:
    return {
        "name": verdict.target.name,
        "target": verdict.target.told(),
        "bound": verdict.target.bound,
        "unit": verdict.target.unit,
        "value": _rounded(verdict.value),
        "verdict": verdict.verdict,
        "why": verdict.why,
        "asked": verdict.asked,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
