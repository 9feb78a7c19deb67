"""What ``cloudctl data`` tells: each holding of the settings, and whether the stack's state has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cluster.data import Holding, holdings
from cluster.settings.model import Settings
from cluster.state import name_of, resources


def report(stack: str, settings: Settings, export: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of a stack as JSON: ``holdings``, and in ``lost`` what destroying the whole stack deletes."""
    made = [(str(each["type"]), name_of(str(each["urn"]))) for each in resources(export)]
    found = [_row(each, made) for each in holdings(settings)]
    lost = [str(row["name"]) for row in found if row["stands"] is not False and not row["survives"]]
    return {"stack": stack, "holdings": found, "lost": lost}


def _row(each: Holding, made: list[tuple[str, str]]) -> dict[str, Any]:
    stands = None
    if each.resource is not None:
        kind, name = each.resource
        stands = any(token.endswith(kind) and name == own for token, own in made)
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
