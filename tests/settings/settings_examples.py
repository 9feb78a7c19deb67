"""Stacks for tests of settings: the committed ones as mappings, and ways to change one place of them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cluster.problems import InputError
from cluster.settings.load import from_mapping
from cluster.settings.stackfile import read_stack_file

ROOT = Path(__file__).resolve().parents[2]
Raw = dict[str, Any]
Change = Callable[[Raw], object]

GOOD_SECRETS = {
    name: f"correct-horse-{name}"
    for name in (
        "object_store_root_password",
        "object_store_mlflow_password",
        "postgres_password",
        "mlflow_admin_password",
        "grafana_admin_password",
        "backup_password",
    )
}


def stack(name: str = "prod") -> Raw:
    """Return the sections of a committed stack file, without the namespace."""
    return copy.deepcopy(dict(read_stack_file(ROOT / f"Pulumi.{name}.yaml").values))


def lines(raw: object, *, sealed: bool = False) -> list[str]:
    """Return the problems of raw sections, a line each; none where they make settings."""
    try:
        from_mapping(raw, "test", sealed=sealed)  # type: ignore[arg-type]
    except InputError as error:
        return [str(problem) for problem in error.problems]
    return []


def steps(path: str) -> tuple[list[Any], Any]:
    """Return the keys and indices of a dotted path: those above the last, and the last."""
    parts: list[Any] = [int(part) if part.isdigit() else part for part in path.split(".")]
    return parts[:-1], parts[-1]


def put(path: str, value: object) -> Change:
    """Return a change that sets ``machines.2.gpus.0.siblings`` and the like."""

    def change(raw: Raw) -> None:
        above, last = steps(path)
        place: Any = raw
        for part in above:
            place = place[part] if isinstance(part, int) else place.setdefault(part, {})
        place[last] = value

    return change


def drop(path: str) -> Change:
    """Return a change that takes a key out."""

    def change(raw: Raw) -> None:
        above, last = steps(path)
        place: Any = raw
        for part in above:
            place = place[part]
        del place[last]

    return change


def changed(*changes: Change, base: str = "prod") -> Raw:
    """Return a committed stack's sections with changes."""
    raw = stack(base)
    for change in changes:
        change(raw)
    return raw


def machine(name: str, role: str, address: str, **more: object) -> Raw:
    """Return a machine of moderate size."""
    return {"name": name, "role": role, "cores": 2, "memory": "4GiB", "disk": "40GiB", "address": address} | more
