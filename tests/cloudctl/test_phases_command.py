"""``cloudctl phases``: table, JSON, Mermaid and SVG all show the same graph; bad durations are refused."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from xml.etree import ElementTree

import jsonschema  # type: ignore[import-untyped]
import pytest

from cloudctl.views import graph
from cluster import phases
from tests.cloudctl.conftest import Project, Run

SCHEMA = {
    "type": "object",
    "required": ["phases", "tasks", "rows", "critical_path", "one_by_one_minutes"],
    "additionalProperties": False,
    "properties": {
        "phases": {"type": "array", "minItems": 8, "items": {"required": ["number", "title"]}},
        "tasks": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "title", "phase", "after", "row", "minutes", "measured", "critical"],
                "additionalProperties": False,
                "properties": {
                    "id": {"pattern": r"^CLOUD-\d\.\d$"},
                    "title": {"type": "string"},
                    "phase": {"type": "integer"},
                    "after": {"type": "array", "items": {"type": "string"}},
                    "row": {"type": "integer", "minimum": 0},
                    "minutes": {"type": "number", "minimum": 0},
                    "measured": {"type": "boolean"},
                    "critical": {"type": "boolean"},
                },
            },
        },
        "rows": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}},
        "critical_path": {
            "type": "object",
            "required": ["tasks", "minutes"],
            "properties": {"tasks": {"type": "array"}, "minutes": {"type": "number"}},
        },
        "one_by_one_minutes": {"type": "number"},
    },
}


def test_json_holds_the_whole_graph(project: Project, cloudctl: Run) -> None:
    result = cloudctl("phases", "--json")
    assert result.exit_code == 0
    data = json.loads(result.stdout)
    jsonschema.validate(data, SCHEMA)
    assert {(before, task["id"]) for task in data["tasks"] for before in task["after"]} == phases.edges()
    assert data["critical_path"]["tasks"] == phases.critical_path()[0]


def test_the_table_fits_100_columns_and_marks_the_longest_chain(project: Project, cloudctl: Run) -> None:
    result = cloudctl("phases")
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 100
    marked = re.findall(r"│\s*\*\s*│ (CLOUD-\d\.\d)", result.stdout)
    assert marked == sorted(phases.critical_path()[0])


def test_mermaid_has_every_edge_and_thick_ones_on_the_longest_chain(project: Project, cloudctl: Run) -> None:
    text = cloudctl("phases", "--format", "mermaid").stdout
    found = set(re.findall(r"^  (CLOUD\d_\d) (-->|==>) (CLOUD\d_\d)$", text, re.MULTILINE))
    name = {task: task.replace("-", "").replace(".", "_") for task in phases.TASKS}
    assert {(a, b) for a, _, b in found} == {(name[a], name[b]) for a, b in phases.edges()}
    chain = [name[task] for task in phases.critical_path()[0]]
    assert {(a, b) for a, arrow, b in found if arrow == "==>"} == set(pairwise(chain))


def test_the_picture_is_well_formed_and_draws_every_task_and_edge(project: Project, cloudctl: Run) -> None:
    result = cloudctl("phases", "--format", "svg", "--out", "graph.svg")
    assert result.exit_code == 0
    root = ElementTree.fromstring((project.folder / "graph.svg").read_text())
    drawn = {node.get("data-task") for node in root.iter() if node.get("data-task")}
    assert drawn == set(phases.TASKS)
    lines = {tuple(str(node.get("data-edge")).split()) for node in root.iter() if node.get("data-edge")}
    assert lines == phases.edges()


def test_boxes_do_not_overlap_and_stand_right_of_what_they_wait_for() -> None:
    boxes = list(graph.layout().values())
    for one in boxes:
        for two in boxes:
            if one is not two and one.x == two.x:
                assert abs(one.y - two.y) > graph.BOX_HEIGHT
    place = graph.layout()
    assert all(place[before].x + graph.BOX_WIDTH < place[after].x for before, after in phases.edges())


def test_durations_replace_estimates_and_move_the_longest_chain(project: Project, cloudctl: Run) -> None:
    (project.folder / "took.json").write_text(json.dumps({"CLOUD-6.2": 90}))
    data = json.loads(cloudctl("phases", "--json", "--durations", "took.json").stdout)
    assert data["critical_path"]["tasks"][-1] == "CLOUD-6.2"
    assert [task["id"] for task in data["tasks"] if task["measured"]] == ["CLOUD-6.2"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"CLOUD-9.9": 1, "CLOUD-2.1": -3, "CLOUD-3.1": true}', "3 problems"),
        ("[1]", "is not an object"),
        ("{", "is not JSON"),
    ],
)
def test_bad_durations_are_refused_with_every_problem(project: Project, cloudctl: Run, text: str, said: str) -> None:
    (project.folder / "took.json").write_text(text)
    result = cloudctl("phases", "--durations", "took.json")
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_missing_file_and_a_table_in_a_file_are_bad_input(project: Project, cloudctl: Run) -> None:
    missing = cloudctl("phases", "--durations", "nowhere.json")
    assert missing.exit_code == 2
    assert "nowhere.json" in missing.stderr
    table = cloudctl("phases", "--out", "x.txt")
    assert table.exit_code == 2
    assert "--format svg" in table.stderr


def test_measured_takes_minutes_from_the_state(project: Project, cloudctl: Run) -> None:
    """A task lasts from when its first resource could begin to when its last was there."""
    urn = "urn:pulumi:prod::inference-cloud::cloud:x:Y::"

    def made(name: str, parent: str, minute: int, *needs: str) -> dict[str, object]:
        return {
            "urn": urn + name,
            "type": "x:y:Z",
            "custom": True,
            "parent": urn + parent,
            "created": f"2026-11-23T15:{minute:02}:00Z",
            "dependencies": [urn + each for each in needs],
        }

    parents = [
        {"urn": urn + task, "type": "cloud:x:Y", "custom": False, "inputs": {"task": task}}
        for task in ("CLOUD-0.1", "CLOUD-1.1", "CLOUD-2.1", "CLOUD-7.1")
    ]
    found = [
        *parents,
        made("pool", "CLOUD-0.1", 1),
        made("build", "CLOUD-1.1", 7, "pool"),
        made("upload", "CLOUD-1.1", 9, "build"),
        made("install", "CLOUD-2.1", 30, "upload"),
        made("stale", "CLOUD-7.1", 0, "pool"),
    ]
    project.state({"version": 3, "deployment": {"resources": found}})
    data = json.loads(cloudctl("phases", "--json", "--measured", "--stack", "prod").stdout)
    took = {task["id"]: task["minutes"] for task in data["tasks"] if task["measured"]}
    assert took == {"CLOUD-1.1": 8, "CLOUD-2.1": 21}
