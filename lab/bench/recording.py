"""What a program registers with the engine, taken from an update plan, in a form that another program can replay.

``pulumi preview --save-plan`` writes every registration: type, name, inputs, parent, provider, and what each input
waits for. An input that is not known in preview is recorded as unknown and replayed as one. Secrets are replaced by
text of the same length while they are read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from lab.plugins.protocol import SECRET_SIGNATURE, SIGNATURE, UNKNOWN_TEXT

STACK_TYPE = "pulumi:pulumi:Stack"
UNKNOWN_MARK = "__unknown__"
SECRET_MARK = "__secret__"  # noqa: S105  # a key of the recording, nothing to keep


@dataclass(frozen=True)
class Registration:
    """One resource; other resources are named by their index in the recording. ``waits`` holds for each input what it
    is made from, ``depends_on`` what no input says."""

    type: str
    name: str
    custom: bool
    inputs: dict[str, Any]
    parent: int | None
    provider: int | None
    waits: dict[str, list[int]]
    depends_on: list[int]
    delete_before_replace: bool
    secret_outputs: list[str] = field(default_factory=list)


def read_plan(path: Path) -> list[Registration]:
    """Return the registrations of an update plan without the stack itself, each after everything it names."""
    plans: dict[str, dict[str, Any]] = json.loads(path.read_text())["resourcePlans"]
    goals = {urn: plan["goal"] for urn, plan in plans.items() if plan["goal"]["type"] != STACK_TYPE}
    order = list(TopologicalSorter({urn: _named(goal, goals) for urn, goal in goals.items()}).static_order())
    index = {urn: number for number, urn in enumerate(order)}
    return [_registration(goals[urn], index) for urn in order]


def write(recording: Iterable[Registration], path: Path) -> None:
    """Write a recording for ``bare_program`` to read."""
    path.write_text(json.dumps([asdict(each) for each in recording]))


def _named(goal: Mapping[str, Any], goals: Mapping[str, Any]) -> set[str]:
    waits = [urn for urns in (goal.get("propertyDependencies") or {}).values() for urn in urns or ()]
    every = [*waits, *(goal.get("dependencies") or ()), goal.get("parent") or "", _provider(goal)]
    return {urn for urn in every if urn in goals}


def _provider(goal: Mapping[str, Any]) -> str:
    """Return the URN of a resource's provider; the reference carries the provider's id behind it."""
    return str(goal.get("provider") or "").rpartition("::")[0]


def _registration(goal: Mapping[str, Any], index: Mapping[str, int]) -> Registration:
    def numbers(urns: Iterable[str] | None) -> list[int]:
        return sorted(index[urn] for urn in urns or () if urn in index)

    # What begins with __ was added by an SDK or a provider, and will be again.
    inputs = (goal.get("inputDiff") or {}).get("adds") or {}
    waits = {key: numbers(urns) for key, urns in (goal.get("propertyDependencies") or {}).items() if urns}
    said = {number for every in waits.values() for number in every}
    provider = _provider(goal)
    return Registration(
        type=goal["type"],
        name=goal["name"],
        custom=goal["custom"],
        inputs={key: _value(value) for key, value in inputs.items() if not key.startswith("__")},
        parent=index.get(goal.get("parent") or ""),
        provider=index[provider] if provider else None,
        waits=waits,
        depends_on=[number for number in numbers(goal.get("dependencies")) if number not in said],
        delete_before_replace=bool(goal.get("deleteBeforeReplace")),
        secret_outputs=list(goal.get("additionalSecretOutputs") or ()),
    )


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET_SIGNATURE:
            return {SECRET_MARK: _veiled(json.loads(value["plaintext"]))}
        return {key: _value(item) for key, item in value.items() if not key.startswith("__")}
    if isinstance(value, list):
        return [_value(item) for item in value]
    return {UNKNOWN_MARK: True} if value == UNKNOWN_TEXT else value


def _veiled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _veiled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_veiled(item) for item in value]
    if value == UNKNOWN_TEXT:
        return {UNKNOWN_MARK: True}
    return "s" * len(value) if isinstance(value, str) else value
