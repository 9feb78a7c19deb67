"""What ``cloudctl backup`` shows: data for JSON, and the same as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cloudctl import console
from cluster.backup.late import age
from cluster.backup.model import Manifest, PartWork, Saved
from cluster.backup.place import newest
from cluster.backup.rehearse import Rehearsal, Rehearsed
from cluster.backup.run import Done, Report
from cluster.settings.model import Backup
from cluster.settings.sections.backup import Part

Data = dict[str, Any]


def planned(place: str, works: Sequence[PartWork]) -> Data:
    """Return what a run would do."""
    return {"place": place, "parts": [{"part": work.part, "skipped": work.unfit()} for work in works]}


def show_planned(data: Data) -> None:
    """Print it."""
    for row in data["parts"]:
        console.say(f"{row['part']}: {'left out: ' + row['skipped'] if row['skipped'] else 'would be backed up'}")
    console.say(f"into {data['place']}; nothing was done")


def ran(report: Report) -> Data:
    """Return what a run did."""
    return {
        "run": report.run,
        "place": report.place,
        "ok": report.ok,
        "created": report.created,
        "forgotten": report.forgotten,
        "problem": report.problem,
        "parts": [_done(each) for each in report.parts],
    }


def _done(each: Done) -> Data:
    manifest = each.manifest
    return {
        "part": each.part,
        "state": "skipped" if each.skipped else "failed" if each.problem else "done",
        "bytes": manifest.size if manifest else None,
        "seconds": manifest.took_s if manifest else None,
        "skipped": each.skipped,
        "problem": each.problem,
    }


def show_ran(data: Data) -> None:
    """Print it."""
    console.show_table(
        f"Backup {data['run']}",
        ["=part", "=state", ">size", ">took", "why"],
        [
            [each["part"], each["state"], size(each["bytes"]), duration(each["seconds"]), each["skipped"] or " "]
            for each in data["parts"]
        ],
        "no parts",
    )
    console.say(f"in {data['place']}" + (f"; {data['forgotten']} old streams forgotten" if data["forgotten"] else ""))
    for each in data["parts"]:
        if each["problem"]:
            console.say(f"problem: {each['part']}: {each['problem']}")
    if data["problem"]:
        console.say(f"problem: {data['problem']}")


def listed(backup: Backup, saved: Sequence[Saved], unfit: Mapping[Part, str], now: datetime | None = None) -> Data:
    """Return every backup, and how each part of the settings stands; a part with nothing to back up is not late."""
    moment = now or datetime.now().astimezone()
    parts = []
    for part in backup.parts:
        last = newest(list(saved), part)
        stands = age(last.at if last else None, backup.schedule, moment)
        reason = unfit.get(part, "")
        parts.append(
            {
                "part": part,
                "last": _iso(stands.last),
                "age_s": round((moment - stands.last).total_seconds()) if stands.last else None,
                "due": _iso(stands.due),
                "late": stands.late and not reason,
                "bytes": last.size if last else None,
                "count": sum(each.part == part for each in saved),
                "reason": reason,
            }
        )
    rows = [{"part": each.part, "run": each.run, "at": _iso(each.at), "bytes": each.size} for each in saved]
    return {"place": backup.place, "schedule": backup.schedule, "parts": parts, "backups": rows}


def show_listed(data: Data) -> None:
    """Print it."""
    console.show_table(
        f"Backups in {data['place']}, schedule {data['schedule']}",
        ["=part", "=last", ">age", ">size", ">kept", "state"],
        [
            [
                each["part"],
                _local(each["last"]),
                duration(each["age_s"]),
                size(each["bytes"]),
                each["count"],
                "late" if each["late"] else each["reason"] or "in time",
            ]
            for each in data["parts"]
        ],
        "no parts",
    )
    console.show_table(
        "All of them",
        ["=run", "=part", "=data of", ">size"],
        [[each["run"], each["part"], _local(each["at"]), size(each["bytes"])] for each in data["backups"]],
        "none yet: cloudctl backup run",
    )


def would(manifest: Manifest, target: Path, *, over: bool) -> Data:
    """Return what a restore would do."""
    where = "in place of what lives" if over else f"into the folder {target}"
    lines = [f"would write {manifest.part} of {manifest.run}, {size(manifest.size)}, {where}; nothing was done"]
    return restored(manifest, lines)


def restored(manifest: Manifest, lines: Sequence[str]) -> Data:
    """Return what a restore did."""
    return {"part": manifest.part, "run": manifest.run, "at": _iso(manifest.at), "lines": list(lines)}


def show_lines(data: Data) -> None:
    """Print it."""
    for line in data["lines"]:
        console.say(line)


def rehearsed(found: Rehearsal) -> Data:
    """Return how a rehearsal went."""
    return {
        "place": found.place,
        "ok": found.ok,
        "seconds": found.took_s,
        "cleaned": list(found.cleaned),
        "problem": found.place_problem,
        "parts": [_rehearsed(each) for each in found.parts],
    }


def _rehearsed(each: Rehearsed) -> Data:
    return {
        "part": each.part,
        "state": "skipped" if each.skipped else "as it was" if each.ok else "failed",
        "run": each.run,
        "at": _iso(each.at),
        "bytes": each.size,
        "rpo_s": each.rpo_s,
        "restore_s": each.restore_s,
        "check_s": each.check_s,
        "compared": list(each.compared),
        "problems": list(each.problems),
        "notes": list(each.notes),
        "skipped": each.skipped,
    }


def show_rehearsed(data: Data) -> None:
    """Print it."""
    for each in data["cleaned"]:
        console.say(f"left by an earlier rehearsal, removed: {each}")
    console.show_table(
        "Rehearsal of a restore",
        ["=part", "=state", ">size", ">RPO", ">RTO", "what agreed"],
        [
            [
                each["part"],
                each["state"],
                size(each["bytes"] or None),
                duration(each["rpo_s"]),
                duration(each["restore_s"]),
                each["skipped"] or "\n".join(each["compared"]) or " ",
            ]
            for each in data["parts"]
        ],
        "no parts",
    )
    console.say("RPO: how old the data is, lost if it is needed now; RTO: what its restore took, less the comparing")
    for each in data["parts"]:
        for note in each["notes"]:
            console.say(f"{each['part']}: {note}")
        for problem in each["problems"]:
            console.say(f"problem: {each['part']}: {problem}")
    if data["problem"]:
        console.say(f"problem: the place itself: {data['problem']}")


def size(count: int | None) -> str:
    """Return 1.5 MiB of 1572864."""
    if count is None:
        return ""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def duration(seconds: float | None) -> str:
    """Return 1 h 05 min of 3900, 2.3 s of 2.3."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min {int(seconds % 60):02} s"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{minutes // (24 * 60)} d {minutes // 60 % 24} h"


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="seconds") if moment else None


def _local(text: str | None) -> str:
    return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M}" if text else "never"
