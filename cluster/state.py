"""What the engine's state says of the task graph: which resource serves which task, and which task waited for which.

Input everywhere is the parsed output of ``pulumi stack export``. A component names its task in the prop ``task``; a
resource without that prop belongs to the task of its nearest parent that has one. What no task claims (the stack,
providers that several tasks share) is seen through: an order that passes over it is still an order between tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

Resource = Mapping[str, Any]
"""One entry of ``deployment.resources``."""


def resources(export: Mapping[str, Any]) -> list[Resource]:
    """Return the live resources: an old copy that only waits for its deletion after a replacement is left out."""
    return [item for item in _deployment(export).get("resources") or [] if not item.get("delete")]


def pending_operations(export: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (urn, operation) of every operation that an interrupted update left open, e.g. ``creating``."""
    return [
        (str(item["resource"]["urn"]), str(item.get("type", "unknown")))
        for item in _deployment(export).get("pending_operations") or []
    ]


def tasks_of(export: Mapping[str, Any]) -> dict[str, str]:
    """Return urn -> task id of every resource that belongs to a task; resources of no task are absent.

    A resource with an open operation that is not in the state yet is placed by its parent, too.
    """
    opened = [item["resource"] for item in _deployment(export).get("pending_operations") or []]
    by_urn = {str(item["urn"]): item for item in [*opened, *resources(export)]}
    found: dict[str, str] = {}
    for urn in by_urn:
        task = _task(urn, by_urn)
        if task is not None:
            found[urn] = task
    return found


def task_edges(export: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return every (before, after) pair of tasks that the state orders directly.

    Directly means: some resource of ``after`` needs one of ``before``, at once or over resources of no task. Take the
    transitive closure (``cluster.phases.closure``) to compare with a table.
    """
    tasks = tasks_of(export)
    needs = needs_of(export)
    return {
        (tasks[needed], task)
        for urn, task in tasks.items()
        for needed in _nearest(urn, needs, tasks)
        if tasks[needed] != task
    }


def needs_of(export: Mapping[str, Any]) -> dict[str, set[str]]:
    """Return urn -> urns that the resource waits for: dependencies, property dependencies, provider and parent."""
    found: dict[str, set[str]] = {}
    for item in resources(export):
        needed: set[str] = set(item.get("dependencies") or ())
        for urns in (item.get("propertyDependencies") or {}).values():
            needed.update(urns or ())
        if item.get("provider"):
            needed.add(str(item["provider"]).rsplit("::", 1)[0])
        if item.get("parent"):
            needed.add(str(item["parent"]))
        found.setdefault(str(item["urn"]), set()).update(needed)
    return found


def minutes_of(export: Mapping[str, Any]) -> dict[str, float]:
    """Return how many minutes each task took: from when its first resource could begin to when its last was there.

    The engine notes for every resource when its creation ended; it began when the last one it needs had ended. Left
    out are resources that need nothing, and those that are older than what they need: that was made anew since.
    """
    tasks = tasks_of(export)
    ended = {
        str(item["urn"]): datetime.fromisoformat(str(item["created"]))
        for item in resources(export)
        if item.get("custom") and item.get("created")
    }
    spans: dict[str, tuple[datetime, datetime]] = {}
    for urn, needed in needs_of(export).items():
        task, end = tasks.get(urn), ended.get(urn)
        start = max((ended[each] for each in needed if each in ended), default=None)
        if task and end and start and start <= end:
            first, last = spans.get(task, (start, end))
            spans[task] = (min(first, start), max(last, end))
    return {task: (last - first).total_seconds() / 60 for task, (first, last) in spans.items()}


def type_of(urn: str) -> str:
    """Return the resource's own type token of a URN: ``cloud:mlops:MLflow`` of ``...::cloud:mlops:MLflow::mlflow``."""
    return urn.split("::", 3)[2].split("$")[-1]


def name_of(urn: str) -> str:
    """Return the resource's name of a URN; the name itself may hold ``::``."""
    return urn.split("::", 3)[3]


def of_type(export: Mapping[str, Any], token: str) -> list[Resource]:
    """Return the live resources of one type."""
    return [item for item in resources(export) if item.get("type") == token]


def props(resource: Resource) -> dict[str, Any]:
    """Return a resource's facts: its inputs, overlaid by its outputs."""
    return {**(resource.get("inputs") or {}), **(resource.get("outputs") or {})}


def _deployment(export: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the deployment of an export; a stack that never had one has none."""
    inner = export.get("deployment", export)
    return inner if isinstance(inner, Mapping) else {}


def _task(urn: str | None, by_urn: Mapping[str, Resource]) -> str | None:
    seen: set[str] = set()
    while urn and urn in by_urn and urn not in seen:
        seen.add(urn)
        own = props(by_urn[urn]).get("task") if not by_urn[urn].get("custom") else None
        if isinstance(own, str):
            return own
        urn = by_urn[urn].get("parent")
    return None


def _nearest(urn: str, needs: Mapping[str, set[str]], tasks: Iterable[str]) -> set[str]:
    """Return the resources of a task that ``urn`` needs, seeing through those of no task."""
    found: set[str] = set()
    seen: set[str] = set()
    todo = list(needs.get(urn, ()))
    while todo:
        each = todo.pop()
        if each in seen:
            continue
        seen.add(each)
        if each in tasks:
            found.add(each)
        else:
            todo += needs.get(each, ())
    return found
