"""``cloudctl capacity``: sums, verdict and nearest plan; and that its sums are the verdict's own."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudctl.views import capacity as view
from cluster.budget import GpuDemand, HostLimits, HostPlan, VmDemand, judge
from cluster.host.model import HostFacts
from tests.cloudctl.conftest import FACTS, SETTINGS, Project, Run

TEXT = {"type": ["string", "null"]}
COUNT = {"type": "integer", "minimum": 0}
SUMS = {
    "resource": {"type": "string"},
    "unit": {"enum": ["MiB", "count"]},
    "planned": COUNT,
    "planned_by": {"type": "object", "additionalProperties": COUNT},
    "others": COUNT,
    "others_by": {"type": "object", "additionalProperties": COUNT},
    "reserve": COUNT,
    "need": COUNT,
    "have": COUNT,
    "room": COUNT,
    "fits": {"type": "boolean"},
}
FINDING = {
    "code": {"type": "string"},
    "severity": {"enum": ["refuse", "warn"]},
    "host": {"type": "string"},
    "vm": TEXT,
    "message": {"type": "string"},
    "remedy": {"type": "string"},
}


def closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": list(properties), "properties": properties}


def several(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": closed(properties)}


ANY: dict[str, Any] = {}
SCHEMA = closed(
    {
        "stack": {"type": "string"},
        "owner": {"type": "string"},
        "fits": {"type": ["boolean", "null"]},
        "hosts": several(
            {
                "host": {"type": "string"},
                "resources": several(SUMS),
                "vms": several({"name": ANY, "cores": COUNT, "memory_mib": COUNT, "disk_mib": COUNT, "gpus": ANY}),
            }
        ),
        "findings": several(FINDING),
        "nearest": {
            "anyOf": [
                {"type": "null"},
                closed(
                    {
                        "fits": {"type": "boolean"},
                        "reasons": {"type": "array", "items": {"type": "string"}},
                        "changes": several({"path": ANY, "before": ANY, "after": ANY, "why": {"type": "string"}}),
                        "machines": several(
                            dict.fromkeys(("name", "role", "host", "cores", "memory", "disk", "gpus"), ANY)
                        ),
                    }
                ),
            ]
        },
        "unknown": {"type": "array", "items": {"type": "string"}},
    }
)


def ask(cloudctl: Run, code: int, *more: str) -> dict[str, Any]:
    result = cloudctl("capacity", "--stack", "prod", "--json", *more)
    assert result.exit_code == code, result.output
    data: dict[str, Any] = json.loads(result.stdout)
    jsonschema.validate(data, SCHEMA)
    return data


def row(data: dict[str, Any], resource: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in data["hosts"][0]["resources"] if row["resource"] == resource)
    return found


def test_a_plan_that_fits(project: Project, cloudctl: Run) -> None:
    data = ask(cloudctl, 0)
    assert (data["fits"], data["nearest"]) == (True, None)
    ram = row(data, "ram")
    assert (ram["planned"], ram["reserve"], ram["need"], ram["have"]) == (44 * 1024, 4 * 1024, 48 * 1024, 128 * 1024)
    assert ram["planned_by"] == {"control-1": 12 * 1024, "gpu-1": 32 * 1024}
    assert project.calls() == []  # no engine was asked


def test_others_that_run_count_and_ours_do_not(project: Project, cloudctl: Run) -> None:
    vm = {"state": "running", "cores": 8, "memory": "16GiB"}
    domains = [
        {**vm, "name": "hpc-node1", "owner": "hpc"},
        {**vm, "name": "gpu-1", "owner": "cloud/prod"},
        {**vm, "name": "hpc-node2", "owner": "hpc", "state": "shut-off"},
    ]
    project.facts({**FACTS, "domains": domains})
    data = ask(cloudctl, 0)
    assert row(data, "cpu")["others_by"] == {"hpc-node1": 8}
    assert row(data, "ram")["room"] == (128 - 16 - 4) * 1024


def test_what_an_update_would_make_anew_at_once_is_refused_here_as_the_program_does(
    project: Project, cloudctl: Run
) -> None:
    settings = copy.deepcopy(SETTINGS)
    first = settings["inference-cloud:machines"][1]
    second = {**first, "name": "gpu-2", "address": "192.168.200.22"}
    second["gpus"] = [{"address": "0000:61:00.0", "siblings": "auto"}]
    settings["inference-cloud:machines"].append(second)
    project.settings(settings)
    vm = {"state": "running", "cores": 12, "memory": "32GiB", "owner": "cloud/prod", "image": "0" * 12}
    project.facts({**FACTS, "domains": [{**vm, "name": name, "role": "gpu-worker"} for name in ("gpu-1", "gpu-2")]})
    data = ask(cloudctl, 1)
    assert (data["fits"], data["nearest"]) == (False, None)
    (finding,) = [each for each in data["findings"] if each["severity"] == "refuse"]
    assert finding["code"] == "gpu-rollout"
    second["image"] = "0" * 12
    project.settings(settings)
    assert ask(cloudctl, 0)["fits"] is True


def test_a_plan_that_is_refused_shows_the_nearest_that_fits(project: Project, cloudctl: Run) -> None:
    project.facts({**FACTS, "memory": "40GiB"})
    data = ask(cloudctl, 1)
    assert data["fits"] is False
    assert "Insufficient ram: need 48 GB, have 40 GB" in data["findings"][0]["message"]
    assert row(data, "ram")["fits"] is False
    nearest = data["nearest"]
    assert nearest["fits"] is True
    assert all(change["path"].startswith("machines[") for change in nearest["changes"])
    # what it proposes passes the verdict
    settings = copy.deepcopy(SETTINGS)
    kept = {machine["name"]: machine for machine in nearest["machines"]}
    machines = [machine for machine in settings["inference-cloud:machines"] if machine["name"] in kept]
    for machine in machines:
        machine.update({key: kept[machine["name"]][key] for key in ("cores", "memory", "disk")})
    settings["inference-cloud:machines"] = machines
    project.settings(settings)
    assert ask(cloudctl, 0)["fits"] is True


def test_where_nothing_fits_it_says_so(project: Project, cloudctl: Run) -> None:
    project.facts({**FACTS, "cpu": {**FACTS["cpu"], "virtualization": False}})
    assert ask(cloudctl, 1)["nearest"]["fits"] is False
    assert "no smaller plan fits either" in cloudctl("capacity", "--stack", "prod").stdout


def test_the_table_fits_100_columns_and_names_what_is_short(project: Project, cloudctl: Run) -> None:
    project.facts({**FACTS, "memory": "40GiB"})
    result = cloudctl("capacity", "--stack", "prod")
    assert result.exit_code == 1
    tables = [line for line in result.stdout.splitlines() if line[:1] in "┏┃┡│└"]
    assert tables
    assert max(map(len, tables)) <= 100
    for shown in ("short", "48 GB", "40 GB", "gpu-1 32 GB", "the plan is refused", "machines["):
        assert shown in result.stdout


def test_host_files_replace_the_hosts_facts(project: Project, cloudctl: Run) -> None:
    small = project.folder / "small.yaml"
    small.write_text(yaml.safe_dump({**FACTS, "name": "somewhere-else", "memory": "40GiB"}))
    assert ask(cloudctl, 1, "--host-file", "small.yaml")["fits"] is False


def test_facts_that_cannot_be_had_are_exit_code_3(project: Project, cloudctl: Run) -> None:
    project.facts({**FACTS, "memory": None, "unknown": {"memory": "/proc/meminfo cannot be read"}})
    data = ask(cloudctl, 3)
    assert data["fits"] is None
    assert "/proc/meminfo cannot be read" in data["findings"][0]["message"]
    (project.folder / "ws.yaml").unlink()
    data = ask(cloudctl, 3)
    assert data["unknown"][0].startswith("host ws:")
    assert "cannot be told" in cloudctl("capacity", "--stack", "prod").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host-file", "nowhere.yaml"], "nowhere.yaml"),
        (["--host-file", "broken.yaml"], "broken.yaml"),
        (["--config-file", "Pulumi.none.yaml"], "Pulumi.none.yaml"),
        (["--config-file", "bad.yaml"], "2 problems"),
    ],
)
def test_bad_files_are_bad_input_with_every_problem(
    project: Project, cloudctl: Run, words: list[str], said: str
) -> None:
    (project.folder / "broken.yaml").write_text("name: [")
    config = {**copy.deepcopy(SETTINGS), "inference-cloud:nonsense": 1}
    config["inference-cloud:machines"][0]["memory"] = "12GB"
    (project.folder / "bad.yaml").write_text(yaml.safe_dump({"config": config}))
    result = cloudctl("capacity", "--stack", "prod", *words)
    assert result.exit_code == 2
    assert said in result.stderr


GPUS = [f"0000:{bus:02x}:00.0" for bus in range(1, 5)]


@st.composite
def plans(draw: st.DrawFn) -> HostPlan:
    """A plan on a host that is in order but for its size."""
    free = list(GPUS)
    demands = []
    for number in range(draw(st.integers(1, 4))):
        gpus = tuple(GpuDemand(free.pop()) for _ in range(draw(st.integers(0, min(1, len(free))))))
        sizes = [draw(st.integers(1, 40_000)) for _ in range(2)]
        demands.append(
            VmDemand(f"vm-{number}", "ws", draw(st.integers(1, 30)), sizes[0], {"inference-cloud": sizes[1]}, gpus)
        )
    domain = {"state": "running", "cores": draw(st.integers(1, 20)), "memory": f"{draw(st.integers(1, 40_000))}MiB"}
    facts = {
        **FACTS,
        "cpu": {**FACTS["cpu"], "cores": draw(st.integers(1, 60))},
        "memory": f"{draw(st.integers(1, 90_000))}MiB",
        "domains": [{**domain, "name": "other", "owner": "hpc"}] * draw(st.integers(0, 1)),
        "gpus": [{**FACTS["gpus"][0], "address": address} for address in GPUS[: draw(st.integers(0, 4))]],
    }
    facts["pools"] = [{**FACTS["pools"][0], "capacity": f"{draw(st.integers(1, 300_000))}MiB"}]
    return HostPlan(HostFacts.model_validate(facts), demands, HostLimits(), "cloud/prod", "ws")


@given(plans())
@settings(max_examples=60)
def test_the_sums_shown_are_those_of_the_verdict(plan: HostPlan) -> None:
    """What the table calls short is exactly what the verdict calls insufficient."""
    short = {total.resource.split(",")[0] for total in view.sums(plan) if total.need > total.have}
    found = judge(plan.demands, {"ws": plan.facts}, {"ws": plan.limits}, plan.owner)
    said = {finding.code.removeprefix("insufficient-") for finding in found if finding.code.startswith("insufficient-")}
    assert short == said - {"network"}
