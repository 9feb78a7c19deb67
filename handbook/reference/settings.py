"""Every setting: its key, its form, its default and what it says, from the JSON Schema and the words of the errors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter

from cluster.settings.model import NAMESPACE
from cluster.settings.schema import stack_schema
from cluster.settings.sections.base import Address, Cidr
from cluster.settings.words import PATTERNS, REQUIRED
from cluster.types import MiB, Name, PciAddress
from handbook.markdown import cell, code, table
from handbook.page import Page
from handbook.reference.fields import SAID

Schema = Mapping[str, Any]


def _pattern_of(kind: Any) -> str:
    """Return the pattern of a type in the JSON Schema."""
    return str(TypeAdapter(kind).json_schema()["pattern"])


KNOWN = {
    _pattern_of(MiB): "size, as `12GiB`",
    _pattern_of(Name): "name of `a-z`, `0-9` and `-`",
    _pattern_of(Address): "IPv4 address",
    _pattern_of(Cidr): "IPv4 network, as `192.168.200.0/24`",
    _pattern_of(PciAddress): "PCI address, as `0000:41:00.0`",
}
"""Pattern of a type that many fields have -> what it is in words."""

INTRODUCTION = """# Settings: every field

Made from the program's own model (`cluster/settings/sections`) when this site is built. How they work together:
[Settings](../settings.md). The same as JSON Schema, for editors: [stack.json](../schema/stack.json), or
`cloudctl config schema`. All keys stand under `config:` with the prefix `{namespace}:`; a key that is not here is an
error. {required} must be there.
"""


def page() -> Page:
    """Return the page."""
    schema = stack_schema()
    sections = schema["properties"]["config"]["properties"]
    required = ", ".join(f"`{key.removeprefix(NAMESPACE + ':')}`" for key in schema["properties"]["config"]["required"])
    parts = [INTRODUCTION.format(namespace=NAMESPACE, required=required)]
    for key, value in sections.items():
        name = key.removeprefix(f"{NAMESPACE}:")
        parts += _section(name, value, schema["$defs"])
    return Page("reference/settings.md", "\n".join(parts))


def fields() -> set[str]:
    """Return the path of every field on the page: ``hosts[].pool.name``."""
    schema = stack_schema()
    found = set()
    for key, value in schema["properties"]["config"]["properties"].items():
        for path, _, model in _tables(key.removeprefix(f"{NAMESPACE}:"), value, schema["$defs"]):
            found |= {f"{path}.{field}" for field in model.get("properties", {})}
    return found


def _section(name: str, value: Schema, models: Mapping[str, Schema]) -> list[str]:
    parts = [f"## {name}\n"]
    found = list(_tables(name, value, models))
    said = value.get("description") or next(
        (each["description"] for each in value.get("anyOf", ()) if "description" in each), ""
    )
    if said:
        parts.append(f"{said[0].upper()}{said[1:]}.\n")
    for path, title, model in found:
        if path.rstrip("[]") != name:
            parts.append(f"### {path}\n")
        parts.append(f"{model.get('description', '')}\n")
        rows = [_row(title, field, shape, model, models) for field, shape in model.get("properties", {}).items()]
        parts.append(table(["Field", "What it says", "Form", "Default"], rows))
    if not found:
        parts.append(table(["Form", "Default"], [[_form(value, models), _default(value, required=False)]]))
    return parts


def _tables(path: str, value: Schema, models: Mapping[str, Schema]) -> Iterator[tuple[str, str, Schema]]:
    """Yield (path, name of the model, model) of a value's sections, the sections inside it after it."""
    for suffix, name in _models(value):
        model = models[name]
        yield path + suffix, name, model
        for field, shape in model.get("properties", {}).items():
            if (inner := _models(shape)) and inner[0][1] != "Secret":
                yield from _tables(f"{path}{suffix}.{field}", shape, models)


def _models(value: Schema) -> list[tuple[str, str]]:
    """Return (``""`` or ``[]``, model) of what a value is, or may be."""
    if "$ref" in value:
        return [("", str(value["$ref"]).rsplit("/", 1)[-1])]
    if value.get("type") == "array":
        return [(f"[]{suffix}", name) for suffix, name in _models(value["items"])]
    return [pair for each in value.get("anyOf", ()) for pair in _models(each)]


def _row(model: str, field: str, shape: Schema, whole: Schema, models: Mapping[str, Schema]) -> list[str]:
    required = field in whole.get("required", ())
    return [f"`{field}`", _said(model, field, shape), _form(shape, models), _default(shape, required=required)]


def _said(model: str, field: str, shape: Schema) -> str:
    """Return a field's description, and how to write it where that is not obvious."""
    words = PATTERNS.get((model, field)) or REQUIRED.get((model, field))
    how = words[1].replace("{stack}", "STACK") if words else ""
    own = shape.get("description") or SAID.get((model, field))
    said = [str(own)] if own else []
    return cell("; ".join([*said, *([how] if how else [])])) or " "


def _default(shape: Schema, *, required: bool) -> str:
    if required:
        return "**required**"
    value = shape.get("default")
    if value is None or value == {} or value == []:
        return "-"
    return " " if isinstance(value, dict) else code(json.dumps(value).strip('"'))


def _form(shape: Schema, models: Mapping[str, Schema]) -> str:
    """Return a value's type with its bounds, in words."""
    if "$ref" in shape:
        name = str(shape["$ref"]).rsplit("/", 1)[-1]
        return "secret" if name == "Secret" else "section"
    if "anyOf" in shape:
        several = [_form(each, models) for each in shape["anyOf"] if each.get("type") != "null"]
        return " or ".join(dict.fromkeys(several))
    if "enum" in shape or "const" in shape:
        return ", ".join(code(str(each)) for each in shape.get("enum", [shape.get("const")]))
    kind = str(shape.get("type", "anything"))
    if kind == "array":
        return f"list of {_plural(_form(shape['items'], models))}{_bounds(shape, 'minItems', 'maxItems')}"
    if kind == "object":
        inner = shape.get("additionalProperties")
        return f"mapping to {_form(inner, models)}" if isinstance(inner, dict) and inner else "mapping"
    if shape.get("pattern") in KNOWN:
        return KNOWN[str(shape["pattern"])]
    pattern = f", {code(shape['pattern'])}" if "pattern" in shape else ""
    word = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true` or `false`"}[kind]
    return f"{word}{_bounds(shape, 'minimum', 'maximum')}{pattern}"


def _plural(form: str) -> str:
    return {"section": "sections", "text": "texts", "IPv4 address": "IPv4 addresses"}.get(form, form)


def _bounds(shape: Schema, low: str, high: str) -> str:
    least, most = shape.get(low, shape.get("exclusiveMinimum")), shape.get(high)
    if least is None and most is None:
        return ""
    if least is None or most is None:
        return f", {least} or more" if least is not None else f", {most} or less"
    return f", {least} to {most}"
