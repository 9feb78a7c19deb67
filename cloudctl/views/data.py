"""What ``cloudctl data`` tells: each holding of the settings, and whether the stack's state has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cluster.data import Holding, holdings
from cluster.settings.model import Database, ObjectStore, Settings
from cluster.state import Resource, name_of, resources


def report(stack: str, settings: Settings, export: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of a stack as JSON: ``holdings``, and in ``lost`` what destroying the whole stack deletes."""
    made = resources(export)
    found = [_row(each, made) for each in holdings(_as_it_stands(settings, made))]
    lost = [str(row["name"]) for row in found if row["stands"] is not False and not row["survives"]]
    return {"stack": stack, "holdings": found, "lost": lost}


def _as_it_stands(settings: Settings, made: Sequence[Resource]) -> Settings:
    """Return the settings with ``retain`` as the engine will obey it: a change of it counts after the next up."""
    for each in holdings(settings):
        section = getattr(settings, each.name, None)
        found = _find(each, made)
        if found is not None and isinstance(section, ObjectStore | Database):
            kept = section.model_copy(update={"retain": bool(found.get("retainOnDelete"))})
            settings = settings.model_copy(update={each.name: kept})
    return settings


def _find(each: Holding, made: Sequence[Resource]) -> Resource | None:
    if each.resource is None:
        return None
    kind, name = each.resource
    return next((one for one in made if str(one["type"]).endswith(kind) and name_of(str(one["urn"])) == name), None)


def _row(each: Holding, made: Sequence[Resource]) -> dict[str, Any]:
    stands = None if each.resource is None else _find(each, made) is not None
    return {
        "name": each.name,
        "what": each.what,
        "volume": each.volume,
        "size_mib": each.size_mib,
        "storage_class": each.storage_class,
        "stands": stands,
        "service_destroyed": each.service_destroyed,
        "stack_destroyed": each.stack_destroyed,
        "survives": each.survives,
    }
