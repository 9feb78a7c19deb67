"""Objects of the API server, of whatever kind: clashes, missing namespaces and CRDs, and what the server fills in."""

from __future__ import annotations

import base64
import secrets
from typing import Any

from lab.plugins.base import Operation
from lab.plugins.errors import PluginError
from lab.plugins.kubernetes_cluster import ClusterState, Record, key_of
from lab.plugins.kubernetes_rules import namespaced
from lab.plugins.protocol import UNKNOWN, Properties, Secret, Value, plain, veiled

_AUTONAMED = "pulumi.com/autonamed"


def group_version_kind(kind: str) -> tuple[str, str, str]:
    """Return (group, version, kind) of a type token; the core group is empty."""
    _, module, name = kind.split(":")
    group, _, version = module.partition("/")
    return ("" if group == "core" else group), version, name


def api_version(group: str, version: str) -> str:
    """Return the apiVersion of a group and version."""
    return f"{group}/{version}" if group else version


def check_object(op: Operation) -> Properties:
    """Return an object's inputs with its name filled in: eight random digits, kept ever after and marked as such."""
    group, version, kind = group_version_kind(op.kind)
    inputs = {"apiVersion": api_version(group, version), "kind": kind, **op.inputs}
    metadata = inputs.get("metadata")
    if metadata is UNKNOWN or isinstance(metadata, Secret):
        return inputs
    metadata = dict(metadata or {})
    if not metadata.get("name") and not metadata.get("generateName"):
        old = plain(op.old_inputs.get("metadata") or {})
        metadata["name"] = old.get("name") or f"{op.name}-{secrets.token_hex(4)}"
        metadata["annotations"] = {**(metadata.get("annotations") or {}), _AUTONAMED: "true"}
    inputs["metadata"] = metadata
    if group == "" and kind == "Secret":
        for key in ("data", "stringData"):
            if inputs.get(key) is not None and not isinstance(inputs[key], Secret):
                inputs[key] = Secret(inputs[key])
    return inputs


def delete_first(op: Operation) -> bool:
    """Whether a replacement has to delete the old object first: its name was given, and stays."""
    new, old = (plain(inputs.get("metadata") or {}) for inputs in (op.inputs, op.old_inputs))
    if not isinstance(new, dict) or not isinstance(old, dict):
        return False
    given = bool(new.get("name")) and (new.get("annotations") or {}).get(_AUTONAMED) != "true"
    return given and (new.get("name"), new.get("namespace")) == (old.get("name"), old.get("namespace"))


def create_object(state: ClusterState, op: Operation, *, upsert: bool) -> tuple[str, Properties]:
    """Create an object."""
    group, _, kind = group_version_kind(op.kind)
    _require_kind(state, op)
    wanted = plain(op.inputs)
    metadata = wanted.get("metadata") or {}
    name = str(metadata.get("name") or f"{metadata.get('generateName', '')}{secrets.token_hex(3)[:5]}")
    namespace = str(metadata.get("namespace") or "default") if namespaced(kind) else ""
    refused = f'resource "{op.urn}" was not successfully created by the Kubernetes API server: '
    if namespace:
        state.require_namespace(namespace, refused)
    key = key_of(group, kind, namespace, name)
    reserved = kind == "Namespace" and group == "" and state.has_namespace(name)
    if (key in state.objects or reserved) and not upsert:
        plural = f"{_plural(kind)}.{group}" if group else _plural(kind)
        raise PluginError(f'{refused}{plural} "{name}" already exists')
    if key in state.objects:  # upsert: it is the object that was there, with other fields
        record = state.objects[key]
        record.update(urn=op.urn, inputs=veiled(op.inputs), revision=int(record.get("revision", 1)) + 1)
    else:
        record = state.add(group, kind, namespace, name, urn=op.urn, inputs=veiled(op.inputs), revision=1)
    if kind == "CustomResourceDefinition":
        spec = wanted.get("spec") or {}
        record["defines"] = f"{spec.get('group')}/{(spec.get('names') or {}).get('kind')}"
        state.crds[record["defines"]] = {"by": key, "kept": False}
    return identity_of(record), object_outputs(record, op.inputs)


def _require_kind(state: ClusterState, op: Operation) -> None:
    group, version, kind = group_version_kind(op.kind)
    if not state.knows(group, kind):
        raise PluginError(
            f'creation of resource "{op.urn}" with kind {api_version(group, version)}/{kind} failed because the '
            "Kubernetes API server reported that the apiVersion for this resource does not exist. Verify that any "
            f'required CRDs have been created: no matches for kind "{kind}" in version "{api_version(group, version)}"'
        )


def find(state: ClusterState, op: Operation) -> tuple[str, Record] | None:
    """Return (key, record) of the object that an operation's id names: ``namespace/name``, or ``name``."""
    group, _, kind = group_version_kind(op.kind)
    namespace, _, name = op.id.rpartition("/")
    if namespaced(kind) and not namespace:
        namespace = "default"
    key = key_of(group, kind, namespace if namespaced(kind) else "", name)
    record = state.objects.get(key)
    return (key, record) if record else None


def update_object(state: ClusterState, op: Operation) -> Properties:
    """Patch an object in place."""
    found = find(state, op)
    if found is None:
        _, _, kind = group_version_kind(op.kind)
        raise PluginError(
            f'update of resource "{op.urn}" failed: {_plural(kind)} "{op.id.rpartition("/")[2]}" not found'
        )
    record = found[1]
    record.update(inputs=veiled(op.inputs), revision=record["revision"] + 1)
    return object_outputs(record, op.inputs)


def identity_of(record: Record) -> str:
    """Return the provider's id of an object."""
    return f"{record['namespace']}/{record['name']}" if record["namespace"] else str(record["name"])


def object_outputs(record: Record, inputs: Properties) -> Properties:
    """Return an object as the server shows it, with the provider's own marks."""
    given = plain(inputs.get("metadata") or {})
    metadata: dict[str, Any] = {**given, "name": record["name"], "uid": record["uid"]}
    if record["namespace"]:
        metadata["namespace"] = record["namespace"]
    revision = int(record.get("revision", 1))
    metadata.update(resourceVersion=str(revision), generation=revision)
    outputs: Properties = {**inputs, "metadata": metadata, **_status(record, inputs)}
    group, version, _ = group_version_kind(f"x:{record['group'] or 'core'}/v1:{record['kind']}")
    outputs["__initialApiVersion"] = inputs.get("apiVersion", api_version(group, version))
    outputs["__fieldManager"] = "pulumi-kubernetes"
    return outputs


def _status(record: Record, inputs: Properties) -> Properties:
    kind, group = record["kind"], record["group"]
    if (group, kind) == ("", "Namespace"):
        return {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
    if (group, kind) == ("", "Service"):
        spec = dict(plain(inputs.get("spec") or {}))
        spec.setdefault("clusterIP", f"10.233.{int(record['uid'][:2], 16) % 64}.{int(record['uid'][2:4], 16) or 1}")
        return {"spec": spec, "status": {"loadBalancer": {}}}
    if (group, kind) == ("batch", "Job"):
        return {"status": {"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}}
    if (group, kind) == ("", "Secret"):
        return {"type": inputs.get("type", "Opaque"), "data": Secret(_data(inputs))}
    return {}


def _data(inputs: Properties) -> Value:
    data = dict(plain(inputs.get("data") or {}))
    for key, text in (plain(inputs.get("stringData") or {})).items():
        data[key] = base64.b64encode(str(text).encode()).decode()
    return data


def _plural(kind: str) -> str:
    lower = kind.lower()
    if lower.endswith("y") and lower[-2] not in "aeiou":
        return f"{lower[:-1]}ies"
    return f"{lower}es" if lower.endswith(("s", "x", "ch")) else f"{lower}s"
