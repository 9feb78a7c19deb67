"""Tables of the pages say what the program has: policies, tasks, sections, faults; the picture is whole."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from typing import get_args

import jsonschema
import yaml
from doc_pages import ROOT, blocks, section, spans, table, text

from cloudctl import exits
from cluster.phases import TASKS
from cluster.settings.model import Settings
from lab.faults import Effect, Fault, Operation
from policies import POLICIES, catalogue


def test_the_page_of_policies_names_every_policy_as_it_is() -> None:
    rows = table(text("docs/policies.md"))
    told = [(row[0].strip("`"), row[1], row[2], tuple(spans(row[3]))) for row in rows]
    assert told == [tuple(entry) for entry in catalogue()]


def test_the_configuration_shown_is_one_that_the_pack_takes() -> None:
    (shown,) = blocks(text("docs/policies.md"), "json")
    schemas = {policy.name: policy.config for policy in POLICIES}
    for policy, values in json.loads(shown).items():
        assert values.pop("enforcementLevel", "mandatory") in ("advisory", "mandatory", "disabled")
        assert values, policy
        schema = {"type": "object", "properties": dict(schemas[policy]), "additionalProperties": False}
        jsonschema.validate(values, schema)


def test_the_page_of_the_architecture_has_every_task_and_its_component() -> None:
    task, told = "", set()
    for first, tokens, file, _ in table(section(text("docs/architecture.md"), "Tasks and components")):
        task = first or task
        told.add(task)
        source = (ROOT / file.strip("`")).read_text()
        for token in spans(tokens):
            assert f'"{token}"' in source, token
        assert f'"{task}"' in source, f"{file}: {task}"
    assert told == set(TASKS)


def test_every_component_is_in_the_table() -> None:
    made = {
        token
        for path in (ROOT / "components").glob("*.py")
        for token in re.findall(r'"(cloud:\w+:\w+)"', path.read_text())
    }
    assert made <= set(spans(section(text("docs/architecture.md"), "Tasks and components")))


def test_the_page_of_settings_has_every_section() -> None:
    told = {name for row in table(section(text("docs/settings.md"), "Sections")) for name in spans(row[0])}
    assert told == set(Settings.model_fields)


def test_the_fault_shown_is_one_and_the_comments_name_every_word() -> None:
    (shown,) = blocks(section(text("docs/lab.md"), "Faults"), "yaml")
    (fault,) = yaml.safe_load(shown)
    assert set(fault) == set(Fault.model_fields)
    Fault.model_validate(fault)
    for word in (*get_args(Operation), *get_args(Effect)):
        assert re.search(rf"\b{word}\b", shown), word


def test_the_exit_codes_are_those_of_the_program() -> None:
    told = [int(row[0]) for row in table(section(text("docs/cloudctl.md"), "Exit codes"))]
    assert told == [exits.OK, exits.REFUSED, exits.USAGE, exits.UNKNOWN]


def test_the_picture_is_whole_and_reads_on_both_backgrounds() -> None:
    source = (ROOT / "docs" / "flow.svg").read_text("utf-8")
    picture = ElementTree.fromstring(source)
    shown = " ".join(element.text or "" for element in picture.iter())
    for step in ("Settings", "Host facts", "Verdict", "Phases", "Outputs", "Policies"):
        assert step in shown
    assert "prefers-color-scheme: dark" in shown
    assert "href" not in source.replace("url(#tip)", "")
    assert "<script" not in source
    assert "(docs/flow.svg)" in text("README.md")
