"""Dashboards: what is rendered is what is said, Grafana knows every key of it, and a preview does not pay for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from cluster.monitoring import dashboards
from cluster.monitoring.dashboards.__main__ import rendered
from cluster.render.values import kube_prometheus_stack
from tests.monitoring.stacks import whole

ROOT = Path(__file__).parents[2]
FILES = sorted(path.name for path in dashboards.MADE.glob("*.json"))


def board(file: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((dashboards.MADE / file).read_text())
    return found


def through_grafanas_types(made: dict[str, Any]) -> Any:
    """Return a dashboard read into Grafana's own types and written again: what they do not know is lost."""
    register_default_plugins()
    return json.loads(json.dumps(Dashboard.from_json(made), cls=JSONEncoder))


def test_the_files_are_what_is_rendered_today() -> None:
    made = rendered()
    assert sorted(made) == FILES
    for file, text in made.items():
        assert text == (dashboards.MADE / file).read_text(), f"{file}: python -m cluster.monitoring.dashboards"


@pytest.mark.parametrize("file", FILES)
def test_grafanas_types_know_every_key(file: str) -> None:
    made = board(file)
    assert through_grafanas_types(made) == made
    panel = next(each for each in made["panels"] if each["type"] == "timeseries")
    panel["fieldConfig"]["defaults"]["unitt"] = "s"
    assert through_grafanas_types(made) != made, "a key that is none would be noticed"


@pytest.mark.parametrize("file", FILES)
def test_panels_have_places_of_their_own_and_ask_our_prometheus(file: str) -> None:
    made = board(file)
    assert made["uid"] == file.removesuffix(".json") and not made["editable"]
    numbers = [panel["id"] for panel in made["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken: set[tuple[int, int]] = set()
    for panel in made["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert place["x"] + place["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] == "row":
            continue
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert all(source == {"type": "prometheus", "uid": dashboards.DATASOURCE} for source in sources)
        names = [target["refId"] for target in panel["targets"]]
        assert len(set(names)) == len(names) > 0, panel["title"]


def test_grafana_has_the_data_source_that_the_panels_name() -> None:
    values = kube_prometheus_stack.values(
        whole(), grafana_secret="s", grafana_host="h", storage_class="c", service_monitors=True, rules={}
    )
    sidecar = values["grafana"]["sidecar"]
    assert sidecar["datasources"]["uid"] == dashboards.DATASOURCE
    assert {sidecar["dashboards"]["label"]: sidecar["dashboards"]["labelValue"]} == dashboards.LABEL
    assert sidecar["dashboards"]["folderAnnotation"] == dashboards.FOLDER_ANNOTATION


def test_a_stack_gets_the_dashboards_that_it_has_something_for() -> None:
    every = {*dashboards.wanted(whole()), dashboards.COMPARISON}
    assert every == {file.removesuffix(".json") for file in FILES}
    plain = dashboards.wanted(
        whole(hosts=[{"name": "workstation"}], machines=[], kubernetes={"provisioner": "existing"})
    )
    assert every - set(plain) == {"cloud-gpus", "cloud-hosts", dashboards.COMPARISON}


def test_a_preview_imports_neither_the_library_nor_a_parser_of_queries() -> None:
    code = (
        "import sys, components.platform;"
        "print([name for name in sys.modules if name.partition('.')[0] in ('grafana_foundation_sdk', 'promql_parser')])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
