"""After an update was cut off: which operations were under way, and how the next one finds what they left.

The engine records that it is about to create something, then asks the provider. If it dies in between, the object may
exist while the state holds only a "pending create", and the next ``up`` would try to create it again and clash.
Each such resource of ours has an id that can be foretold (``identity``): it is put into the state under that id
and refreshed; the provider then says whether it is there. A command's creation is idempotent and is simply run again.

Where only the provider's connection died, the engine notes what was made as made with errors, without what the provider
would have read of it: the next ``up`` would take that for a change. Such a resource is refreshed as well.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster.identity import expected_id

_NOT_TOLD = ("[secret]", "04da6b54-80e4-46f7-96ec-b56ff0331ba9")
"""How a preview prints a secret, and a value that only the update will know (the engine's mark for an unknown
string)."""

_WHOLE = frozenset({"libvirt:index/volume:Volume", "libvirt:index/domain:Domain"})
"""Kinds that are only taken up with all of their inputs known."""


@dataclass(frozen=True)
class Recovery:
    """What to do about a state with pending operations.

    ``deployment`` is the mended export (to be imported), ``refresh`` the URNs whose truth the provider must tell,
    ``again`` the URNs that are simply created again, ``unclear`` those that nobody can find by an id.
    """

    deployment: dict[str, Any]
    refresh: tuple[str, ...]
    again: tuple[str, ...]
    unclear: tuple[str, ...]

    @property
    def needed(self) -> bool:
        """Whether an update was cut off at all."""
        return bool(self.refresh or self.again or self.unclear)


def plan_recovery(export: Mapping[str, Any]) -> Recovery:
    """Return how to recover from an exported stack (``pulumi stack export``); the export itself is left as it is."""
    mended = copy.deepcopy(dict(export))
    deployment = mended.get("deployment") or {}
    resources = deployment.get("resources") or []
    pools = _pool_folders(resources)
    refresh: list[str] = []
    again: list[str] = []
    unclear: list[str] = []
    known = {resource["urn"] for resource in resources}
    for operation in deployment.get("pending_operations") or []:
        resource = operation["resource"]
        urn, kind = resource["urn"], resource["type"]
        if operation["type"] != "creating":
            refresh.append(urn)
        elif kind.startswith("command:") or urn in known:
            # A command is run again. A URN that the state holds already is a replacement's new half: the old one
            # is gone or about to go, and the engine creates the new one in its place.
            again.append(urn)
        elif found := expected_id(kind, resource.get("inputs") or {}, pools):
            resources.append(_as_created(resource, found))
            refresh.append(urn)
        else:
            unclear.append(urn)
    refresh += [resource["urn"] for resource in resources if resource.get("initErrors")]
    if deployment:
        deployment["resources"] = resources
        deployment["pending_operations"] = []
    commands = {resource["urn"] for resource in resources if resource["type"].startswith("command:")}
    looked_up = dict.fromkeys(urn for urn in refresh if urn not in commands)
    return Recovery(mended, tuple(looked_up), tuple(again), tuple(unclear))


def with_strays(export: Mapping[str, Any], preview: Mapping[str, Any]) -> dict[str, Any]:
    """Return the export with a pending create for everything that the next ``up`` means to create.

    A provider that loses its connection, or dies, may have made something that the engine then forgets without a trace.
    ``preview`` is what ``pulumi preview --json`` prints. What it masks or does not know is left out: the refresh
    reads it. A disk or VM of which something is not known yet waits for another round: what it stands on is found
    first, and an input that is missing would be taken for a change, by which it is made anew.
    """
    mended = copy.deepcopy(dict(export))
    deployment = mended.get("deployment") or {}
    resources = deployment.get("resources") or []
    known = {resource["urn"] for resource in resources}
    providers = {f"{resource['urn']}::{resource.get('id')}" for resource in resources}
    pending = deployment.get("pending_operations") or []
    told = known | {operation["resource"]["urn"] for operation in pending}
    for step in preview.get("steps") or []:
        new = step.get("newState") or {}
        wanted = step["op"] == "create" and new.get("custom") and new.get("provider") in providers
        if not wanted or new["urn"] in told or new.get("parent") not in known:
            continue
        if new["type"].startswith(("command:", "pulumi:")) or (new["type"] in _WHOLE and _hidden(new.get("inputs"))):
            continue
        needs = new.get("propertyDependencies") or {}
        stray = {
            **new,
            "inputs": _known(new.get("inputs") or {}),
            "dependencies": [urn for urn in new.get("dependencies") or [] if urn in known],
            "propertyDependencies": {key: [urn for urn in urns or [] if urn in known] for key, urns in needs.items()},
        }
        stray.pop("outputs", None)
        pending.append({"resource": stray, "type": "creating"})
    deployment["pending_operations"] = pending
    return mended


def _hidden(value: Any) -> bool:
    """Whether a preview hides, or cannot tell, a part of a value."""
    if isinstance(value, dict):
        return any(map(_hidden, value.values()))
    return any(map(_hidden, value)) if isinstance(value, list) else value in _NOT_TOLD


def _known(value: Any) -> Any:
    """Return a value of a preview without the parts that it hides or cannot tell."""
    if isinstance(value, dict):
        return {key: _known(each) for key, each in value.items() if each not in _NOT_TOLD}
    if isinstance(value, list):
        return [_known(each) for each in value if each not in _NOT_TOLD]
    return value


def _as_created(resource: Mapping[str, Any], identity: str) -> dict[str, Any]:
    created = dict(resource)
    created["id"] = identity
    created["outputs"] = dict(resource.get("inputs") or {})
    return created


def _pool_folders(resources: list[dict[str, Any]]) -> dict[str, str]:
    folders: dict[str, str] = {}
    for resource in resources:
        if resource["type"] == "libvirt:index/pool:Pool":
            inputs = resource.get("inputs") or {}
            folder = (inputs.get("target") or {}).get("path") or inputs.get("path")
            if folder:
                folders[inputs.get("name", "")] = folder
    return folders
