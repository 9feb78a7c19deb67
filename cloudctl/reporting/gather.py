"""Everything that the page says, as data: what ``status``, ``capacity`` and ``gpus`` know, and how long it took.

Nothing raises for a part that cannot be had: the part says why. Secrets are never asked for, but for the services'
passwords that ``cloudctl status`` asks with, and those go into no answer.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cloudctl import live, project
from cloudctl.answers import Asker
from cloudctl.engine import Engine
from cloudctl.exits import CannotTellError
from cloudctl.release import version
from cloudctl.reporting import hosts as cards
from cloudctl.reporting import timeline
from cloudctl.upkeep import any_ended, upkeep
from cloudctl.views import capacity, gpus, status, versions
from cluster import state
from cluster.host.model import HostFacts
from cluster.leases import LeaseFile
from cluster.leases.claims import Claims
from cluster.leases.update import ended
from cluster.settings.model import Settings


def gather(chosen: project.Stack, engine: Engine, host_files: list[Path] | None = None) -> dict[str, Any]:
    """Return the report of a stack as data. Raises InputError for settings or a stack that are not there."""
    settings = chosen.settings()
    export = engine.export(chosen.name)
    book = LeaseFile(project.root() / settings.state).read()
    over, claims = ended(book.leases), Claims.open(settings, chosen.owner, project.root())
    facts = live.hosts(settings, host_files, stack=chosen.name)
    told = _status(chosen, engine, settings, export, facts)
    kept = upkeep(chosen, settings, ask=told["resources"] > 0 and rehearsal(chosen) is None)
    fit = capacity.report(settings, facts, chosen.owner, claims, project.root())
    cards_of = gpus.report(settings, facts, book, over, chosen.owner)
    return {
        "stack": chosen.name,
        "rehearsed": rehearsal(chosen) is not None,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "program": version(),
        "engine": _manifest(export).get("version"),
        "healthy": None if not told["resources"] else False if any_ended(kept) else told["healthy"],
        "status": told,
        "timeline": _timeline(chosen, engine, export),
        "hosts": cards.cards(settings, facts, told["vms"], cards_of["gpus"], fit["hosts"]),
        "fits": fit["fits"],
        "upkeep": kept,
        "findings": _findings(told, fit, cards_of, kept),
        "versions": versions.used(settings),
    }


def _status(
    chosen: project.Stack,
    engine: Engine,
    settings: Settings,
    export: Mapping[str, Any],
    facts: Mapping[str, HostFacts | str],
) -> dict[str, Any]:
    kubeconfig = project.root() / ".cloud" / chosen.name / "kubeconfig"
    asker = Asker(settings, kubeconfig, lambda: engine.secrets(chosen.name, chosen.file))
    answers = asker.checks(lab=rehearsal(chosen) is not None) if state.resources(export) else []
    return status.report(chosen.name, export, settings, facts, live.nodes(settings, kubeconfig), answers)


def _timeline(chosen: project.Stack, engine: Engine, export: Mapping[str, Any]) -> dict[str, Any]:
    """Return the chart's data with its source in words, and the last updates."""
    try:
        runs, why = timeline.runs_of(engine.history(chosen.name)), ""
    except CannotTellError as error:
        runs, why = [], str(error)
    journal = _journal(chosen)
    if journal is not None:
        spans = timeline.from_journal(journal, export)
        source = "the journal of the rehearsal; a minute of the real operation is played in a fraction of a second"
    else:
        spans = timeline.from_state(export, runs)
        source = "the stack's state and the backend's history; what waited in a queue counts as running"
    last = runs[-1] if runs else None
    return {
        **timeline.rows(spans),
        "source": source,
        "why": why,
        "last": {"began": last.begin, "seconds": last.end - last.begin, "result": last.result} if last else None,
    }


def rehearsal(chosen: project.Stack) -> Path | None:
    """Return the folder of the lab where the stack is a rehearsal: by ``--lab``, or in a shell that is set to one."""
    if chosen.lab:
        from lab.workspace import Workspace

        return Workspace(chosen.name).dir
    folder = os.environ.get("LAB_DIR")
    return Path(folder) if folder and os.environ.get("CLOUD_STACK") == chosen.name else None


def _journal(chosen: project.Stack) -> str | None:
    folder = rehearsal(chosen)
    path = folder / "journal.jsonl" if folder else None
    return path.read_text("utf-8") if path and path.is_file() else None


def _findings(
    told: Mapping[str, Any], fit: Mapping[str, Any], cards_of: Mapping[str, Any], kept: Mapping[str, Any]
) -> list[dict[str, str]]:
    """Return what is wrong or worth knowing, worst first: where, what, what to do."""
    verdict = [
        {
            "severity": each["severity"],
            "where": each["vm"] or f"host {each['host']}",
            "message": each["message"],
            "remedy": each["remedy"],
        }
        for each in fit["findings"]
    ]
    plain = [("refuse", "stack", each) for each in told["problems"] if not each.startswith("host ")]
    plain += [("unknown", "host", each) for each in fit["unknown"]]
    plain += [("warn", "GPUs", each) for each in cards_of["problems"]]
    plain += [("note", "GPUs", each) for each in cards_of["notes"]]
    plain += [("warn", "certificates", each) for each in kept["problems"]]
    if kept["backup"] and kept["backup"]["late"]:
        plain.append(
            ("warn", "backups", f"backups are late, as far as is known here: {', '.join(kept['backup']['late'])}")
        )
    known = tuple(each["message"] for each in verdict)
    said = [
        {"severity": level, "where": where, "message": text, "remedy": ""}
        for level, where, text in plain
        if not (known and text.startswith(known))
    ]
    order = ("refuse", "warn", "unknown", "note")
    return sorted([*verdict, *said], key=lambda each: order.index(each["severity"]))


def _manifest(export: Mapping[str, Any]) -> Mapping[str, Any]:
    found = (export.get("deployment") or {}).get("manifest")
    return found if isinstance(found, Mapping) else {}
