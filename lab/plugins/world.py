"""What a lab's world holds, for whoever wants to know what is left over or what an object's id is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from lab.plugins.kubernetes_objects import identity_of
from lab.plugins.store import Store


@dataclass(frozen=True, order=True)
class WorldObject:
    """One object: the provider's word for its kind, its name, its id, and the URN that made it (None: a chart did)."""

    provider: str
    kind: str
    name: str
    id: str
    urn: str | None


def objects(folder: Path) -> list[WorldObject]:
    """Return everything in the world of a lab folder, sorted. What exists without a URN of ours is in it, too."""
    store = Store(folder)
    found: list[WorldObject] = []
    for path in sorted(store.world.glob("*.json")):
        table = store.read(path.stem)
        if path.stem == "command":
            found += [WorldObject("command", "command", each["name"], urn, urn) for urn, each in table.items()]
        elif path.stem.startswith("libvirt-"):
            for kind in ("domains", "networks", "pools", "volumes"):
                records = table.get(kind, {}).items()
                found += [WorldObject(path.stem, kind, each["name"], key, each.get("urn")) for key, each in records]
        elif path.stem.startswith("kubernetes-"):
            for record in table.get("objects", {}).values():
                found.append(
                    WorldObject(path.stem, record["kind"], record["name"], identity_of(record), record.get("urn"))
                )
            for key, record in table.get("releases", {}).items():
                found.append(WorldObject(path.stem, "Release", record["name"], key, record.get("urn")))
    return sorted(found, key=lambda each: (each.provider, each.kind, each.id))


def journal(folder: Path) -> list[dict[str, object]]:
    """Return the journal's entries: op, type, name, urn, begin, end, result and fault of every operation."""
    path = folder / "journal.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
