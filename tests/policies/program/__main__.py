"""Registers the resources that the file named by PLAN lists, in its order; each waits for what its inputs name.

In inputs ``{"$secret": value}`` is a secret and ``{"$unknown": name}`` is an output of the resource of that name, which
nobody knows in preview.
"""

import json
import os
from pathlib import Path
from typing import Any

import pulumi

made: dict[str, Any] = {}


class Custom(pulumi.CustomResource):
    """A resource of any type; ``computed`` is its one output."""

    computed: pulumi.Output[str]


class Provider(pulumi.ProviderResource):
    """A provider of any package."""


def value_of(value: Any) -> Any:
    """Return an input with its marks carried out."""
    if isinstance(value, dict) and "$secret" in value:
        return pulumi.Output.secret(value_of(value["$secret"]))
    if isinstance(value, dict) and "$unknown" in value:
        return made[value["$unknown"]].computed
    if isinstance(value, dict):
        return {key: value_of(item) for key, item in value.items()}
    return [value_of(item) for item in value] if isinstance(value, list) else value


for entry in json.loads(Path(os.environ["PLAN"]).read_text()):
    token, name, props = entry["type"], entry["name"], value_of(entry.get("props", {}))
    opts = pulumi.ResourceOptions(
        parent=made.get(entry.get("parent", "")),
        provider=made.get(entry.get("provider", "")),
        depends_on=[made[each] for each in entry.get("after", ())],
        ignore_changes=entry.get("ignores"),
    )
    if token.startswith("pulumi:providers:"):
        made[name] = Provider(token.rpartition(":")[2], name, props, opts)
    elif token.startswith("cloud:"):
        made[name] = pulumi.ComponentResource(token, name, props, opts)
    else:
        made[name] = Custom(token, name, {**props, "computed": None}, opts)
