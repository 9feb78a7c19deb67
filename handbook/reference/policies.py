"""Every policy: its level, what it looks at, its thresholds, and all that the tests have seen it say."""

from __future__ import annotations

import json
from collections.abc import Mapping

import yaml

from handbook.markdown import cell, code, table
from handbook.page import ROOT, Page
from policies import POLICIES
from policies.model import Policy

MESSAGES = "tests/policies/messages.yaml"

INTRODUCTION = """# Policies: every rule

Made from the pack itself (`policies/`) when this site is built. How it works, and how to configure it:
[Policies](../policies.md). What each says is from its tests (`tests/policies/messages.yaml`): the change that was made
to a plan which complies, and the answer; `…` stands for a breakdown and remedies that follow.
"""


def page() -> Page:
    """Return the page."""
    seen: Mapping[str, Mapping[str, list[str]]] = yaml.safe_load((ROOT / MESSAGES).read_text("utf-8"))
    overview = table(["Policy", "Level", "What it holds a plan to"], [_row(policy) for policy in POLICIES])
    parts = [INTRODUCTION, overview, *(_section(policy, seen.get(policy.name, {})) for policy in POLICIES)]
    return Page("reference/policies.md", "\n".join(parts))


def _row(policy: Policy) -> list[str]:
    return [f"[{policy.name}](#{policy.name})", policy.level, cell(policy.description)]


def _section(policy: Policy, seen: Mapping[str, list[str]]) -> str:
    types = ", ".join(code(each) for each in sorted(policy.types)) or "the whole plan, at its end"
    parts = [f"## {policy.name}\n", f"{policy.description} Level: **{policy.level}**. Looks at {types}.\n"]
    if policy.config:
        rows = [
            [code(name), _form(schema), cell(str(schema.get("description", " ")))]
            for name, schema in policy.config.items()
        ]
        parts.append(table(["Threshold", "Form", "What it says"], rows))
    if seen:
        rows = [[cell(case), code(each)] for case, said in seen.items() for each in said]
        parts.append(table(["Refused" if policy.level == "mandatory" else "Remarked on", "What it says"], rows))
    return "\n".join(parts)


def _form(schema: Mapping[str, object]) -> str:
    """Return a threshold's JSON Schema in one cell, its description left out."""
    return code(json.dumps({key: value for key, value in schema.items() if key != "description"}))
