"""The engine's event stream, read as it grows: which resource of which task began, ended or failed, and what was
refused.

The engine writes one JSON object a line (``--event-log``; the same stream feeds Pulumi's Automation API).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.phases import TASKS


@dataclass(frozen=True)
class Step:
    """Something happened to a resource: ``kind`` is begun, done or failed; ``op`` the engine's word (create, same,
    ...)."""

    kind: str
    op: str
    urn: str
    type: str
    task: str | None
    custom: bool

    @property
    def name(self) -> str:
        """The resource's Pulumi name."""
        return self.urn.rsplit("::", 1)[-1]


@dataclass(frozen=True)
class Violation:
    """A policy said no (or, advisory, raised a finger)."""

    policy: str
    level: str
    message: str
    urn: str


@dataclass(frozen=True)
class Message:
    """A diagnostic of the program or a provider."""

    severity: str
    text: str
    urn: str


@dataclass(frozen=True)
class Summary:
    """The end: how many resources by engine word, and how long it took."""

    changes: dict[str, int]
    seconds: float

    @property
    def changed(self) -> int:
        """How many resources are not as they were."""
        return sum(count for op, count in self.changes.items() if op not in ("same", "read"))


Event = Step | Violation | Message | Summary

_KINDS = {"resourcePreEvent": "begun", "resOutputsEvent": "done", "resOpFailedEvent": "failed"}


@dataclass
class Reader:
    """Turns lines of the log into events; remembers which task each resource belongs to."""

    tasks: dict[str, str] = field(default_factory=dict)

    def read(self, line: str) -> Event | None:
        """Return what a line says, or None where it says nothing of interest."""
        event: dict[str, Any] = json.loads(line)
        for key, kind in _KINDS.items():
            if key in event:
                return self._step(kind, event[key]["metadata"])
        if "policyEvent" in event:
            said = event["policyEvent"]
            text = said["message"].strip().split("\n", 1)[-1].strip()
            return Violation(said["policyName"], said["enforcementLevel"], text, said.get("resourceUrn", ""))
        if "diagnosticEvent" in event:
            said = event["diagnosticEvent"]
            return Message(said["severity"], said["message"].strip(), said.get("urn", ""))
        if "summaryEvent" in event:
            said = event["summaryEvent"]
            return Summary(dict(said.get("resourceChanges") or {}), float(said.get("durationSeconds") or 0))
        return None

    def _step(self, kind: str, metadata: dict[str, Any]) -> Step:
        urn = metadata["urn"]
        state = metadata.get("new") or metadata.get("old") or {}
        task = (state.get("inputs") or {}).get("task") or self.tasks.get(state.get("parent") or "")
        if isinstance(task, str) and task in TASKS:
            self.tasks[urn] = task
        custom = not (metadata["type"].startswith("cloud:") or metadata["type"] == "pulumi:pulumi:Stack")
        return Step(kind, metadata["op"], urn, metadata["type"], self.tasks.get(urn), custom)


def follow(path: Path, running: Any, pause: Any) -> Iterator[Event]:
    """Yield events as the engine writes them, until ``running()`` is false and the file is read to its end.

    ``pause()`` is called where there is nothing new yet. A last line cut short by a kill is left out.
    """
    reader, rest = Reader(), ""
    while not path.exists() and running():
        pause()
    if not path.exists():
        return
    with path.open() as log:
        while True:
            alive = running()
            chunk = log.read()
            if not chunk:
                if not alive:
                    return
                pause()
                continue
            *lines, rest = (rest + chunk).split("\n")
            for line in lines:
                event = reader.read(line) if line else None
                if event is not None:
                    yield event
