"""The JSON Schema of a whole ``Pulumi.<stack>.yaml``, for editors. ``load`` checks more, and says it better."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from cluster.settings.model import NAMESPACE, Secrets, Settings
from cluster.types import format_mib

SCHEMA_FILE = Path(__file__).parents[2] / "docs/schema/stack.json"
"""Where the schema is kept for the first line of the stack files."""

_REFS = "#/$defs/{model}"
_MACHINE_FILE = {
    "type": "string",
    "pattern": r"\.ya?ml$",
    "description": "file with the list of machines, relative to the project; needed above some 850 machines",
}


class _Generator(GenerateJsonSchema):
    """Writes default sizes as the file does: with their unit."""

    def encode_default(self, dft: Any) -> Any:
        return format_mib(dft) if isinstance(dft, int) and type(dft) not in (int, bool) else super().encode_default(dft)


def stack_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a stack file: our keys by ``Settings``, others' keys as they are."""
    model = Settings.model_json_schema(ref_template=_REFS, schema_generator=_Generator)
    definitions: dict[str, Any] = model["$defs"]
    _seal(definitions)
    machines = model["properties"]["machines"]
    model["properties"]["machines"] = {"anyOf": [machines, _MACHINE_FILE]}
    sections = {f"{NAMESPACE}:{key}": schema for key, schema in model["properties"].items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A stack of {NAMESPACE}",
        "type": "object",
        "additionalProperties": False,
        "required": ["config"],
        "properties": {
            "config": {
                "type": "object",
                "properties": sections,
                "patternProperties": {f"^(?!{NAMESPACE}:)[A-Za-z0-9_.-]+:": {}},
                "additionalProperties": False,
                "required": [f"{NAMESPACE}:{key}" for key in model["required"]],
                **_machines_of_provisioner(),
            },
            "encryptionsalt": {"type": "string"},
            "encryptedkey": {"type": "string"},
            "secretsprovider": {"type": "string"},
            "environment": {},
        },
        "$defs": definitions,
    }


def schema_text() -> str:
    """Return the schema as the committed file has it."""
    return json.dumps(stack_schema(), indent=2, ensure_ascii=False) + "\n"


def _machines_of_provisioner() -> dict[str, Any]:
    """Return the rule that there are machines, but for a cluster that exists already."""
    kubernetes, machines = f"{NAMESPACE}:kubernetes", f"{NAMESPACE}:machines"
    existing = {"properties": {"provisioner": {"const": "existing"}}, "required": ["provisioner"]}
    return {
        "if": {"properties": {kubernetes: existing}, "required": [kubernetes]},
        "then": {"properties": {machines: {"maxItems": 0}}},
        "else": {"properties": {machines: {"minItems": 1}}, "required": [machines]},
    }


def _seal(definitions: dict[str, Any]) -> None:
    """Allow a secret only as ``secure: v1:...``: plain text would end in git."""
    definitions["Secret"] = {
        "title": "Secret",
        "description": f"set with: pulumi config set --secret --path '{NAMESPACE}:secrets.NAME'",
        "type": "object",
        "properties": {"secure": {"type": "string"}},
        "required": ["secure"],
        "additionalProperties": False,
    }
    for key, field in Secrets.model_fields.items():
        said = {"description": field.description} if field.description else {}
        definitions["Secrets"]["properties"][key] = {"$ref": _REFS.format(model="Secret"), **said}


if __name__ == "__main__":
    SCHEMA_FILE.parent.mkdir(parents=True, exist_ok=True)
    SCHEMA_FILE.write_text(schema_text(), "utf-8")
