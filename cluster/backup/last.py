"""How the last run went, as a file beside the stack's other files: what can be told without asking the place."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cluster import whole
from cluster.backup.late import age
from cluster.backup.model import RUN_FORM
from cluster.backup.run import Report
from cluster.settings.model import Settings

NAME = "last.json"


def note(folder: Path, report: Report) -> None:
    """Write down when each part was last kept, and what had nothing to keep; what failed or was left out keeps its
    earlier time.
    """
    before = _read(folder)
    kept = before.get("kept") if isinstance(before.get("kept"), dict) else {}
    parts = {each.part: report.run for each in report.parts if each.manifest}
    asked = {each.part for each in report.parts}
    nothing = {part for part in before.get("nothing") or [] if part not in asked}
    nothing |= {each.part for each in report.parts if each.skipped}
    told = {"run": report.run, "ok": report.ok, "place": report.place, "kept": {**(kept or {}), **parts}}
    whole.replace(folder / NAME, json.dumps({**told, "nothing": sorted(nothing)}) + "\n")


def stands(settings: Settings, folder: Path, now: datetime) -> dict[str, Any] | None:
    """Return how a stack's backups stand, None where it has none: place, ``last`` run, whether it was ``ok``, and the
    parts that are ``late``; ``last`` is None where none was made from here. A part that was never kept is late; one of
    which there was nothing to keep last time is not.
    """
    backup = settings.backup
    if backup is None:
        return None
    found = _read(folder)
    kept, nothing = found.get("kept") or {}, found.get("nothing") or []
    wanted = (part for part in backup.parts if part not in nothing)
    late = [part for part in wanted if age(_moment(kept.get(part)), backup.schedule, now).late]
    last = _moment(found.get("run"))
    return {
        "place": backup.place,
        "last": last.isoformat() if last else None,
        "ok": found.get("ok") if last else None,
        "late": late if last else list(backup.parts),
    }


def _read(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _moment(run: object) -> datetime | None:
    try:
        return datetime.strptime(str(run), RUN_FORM).replace(tzinfo=UTC)
    except ValueError:
        return None
