"""Two sets of inputs compared, property path by property path, and which changes force a replacement."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from lab.plugins.protocol import UNKNOWN, Secret, Value

Kind = Literal["add", "delete", "update"]


@dataclass
class Difference:
    """What a change of inputs comes to. Paths are written as the engine writes them: ``disks[0].volumeId``."""

    changes: dict[str, Kind] = field(default_factory=dict)
    replaces: set[str] = field(default_factory=set)
    delete_first: bool = False


def compare(old: Value, new: Value) -> dict[str, Kind]:
    """Return path -> kind of every difference. An unknown differs from everything: it may turn out to be anything."""
    found: dict[str, Kind] = {}
    _walk(old, new, "", found)
    return found


def _walk(old: Value, new: Value, path: str, found: dict[str, Kind]) -> None:
    if isinstance(old, Secret):
        old = old.value
    if isinstance(new, Secret):
        new = new.value
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            if key.startswith("__"):
                continue
            here = f"{path}.{key}" if path else key
            if re.search(r"[.\[\]]", key):
                here = f'{path}["{key}"]'
            _pair(old.get(key), new.get(key), here, found)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            _pair(_at(old, index), _at(new, index), f"{path}[{index}]", found)
    elif new is UNKNOWN or old is UNKNOWN or old != new:
        found[path] = "update"


def _pair(old: Value, new: Value, path: str, found: dict[str, Kind]) -> None:
    if old is None and new is None:
        return
    if old is not None and new is not None:
        _walk(old, new, path, found)
        return
    here: dict[str, Kind] = {}
    given = new if old is None else old
    if isinstance(given, dict | list):  # leaf by leaf: a rule may concern one of them only
        empty: Value = {} if isinstance(given, dict) else []
        _walk(empty if old is None else old, empty if new is None else new, path, here)
    found.update(here or {path: "add" if old is None else "delete"})


def _at(items: list[Value], index: int) -> Value:
    return items[index] if index < len(items) else None


def forced(path: str, rules: tuple[str, ...]) -> bool:
    """Whether a change at a path falls under a rule: a path without indices, which covers what is below it."""
    bare = re.sub(r"\[[^\]]*\]", "", path)
    return any(bare == rule or bare.startswith(f"{rule}.") for rule in rules)
