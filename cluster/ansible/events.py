"""What a play tells while it runs, read from the lines that ``ansible/callback_plugins/cloud_events.py`` writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Task:
    """A task that begins; ``path`` is its file and line."""

    name: str
    path: str = ""


@dataclass(frozen=True)
class Failure:
    """What went wrong on a host. ``unreachable``: Ansible could not get there at all.

    ``rescued``: the block whose rescue takes it up; ``rescues``: the block whose rescue it was that went wrong.
    """

    host: str
    task: str
    message: str
    path: str = ""
    action: str = ""
    unreachable: bool = False
    ignored: bool = False
    rescued: str = ""
    rescues: str = ""


@dataclass(frozen=True)
class End:
    """The end of a play: counts by host as Ansible sums them up, and what ``set_stats`` with ``per_host`` told."""

    hosts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    told: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


Event = Task | Failure | End


def parse(line: str) -> Event | None:
    """Return the event of a line; None for what is of no interest here, or cannot be read: the log has it anyway."""
    try:
        raw = json.loads(line)
    except ValueError:
        return None
    if not isinstance(raw, dict):
        return None
    kind = raw.get("event")
    if kind == "task":
        return Task(str(raw.get("name", "")), str(raw.get("path", "")))
    if kind in ("failed", "unreachable"):
        words = {
            key: str(raw.get(key, "")) for key in ("host", "task", "message", "path", "action", "rescued", "rescues")
        }
        return Failure(**words, unreachable=kind == "unreachable", ignored=bool(raw.get("ignored")))
    if kind == "end":
        return End(raw.get("hosts") or {}, raw.get("told") or {})
    return None
