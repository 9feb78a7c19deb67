"""``cloudctl config`` and ``cloudctl host``: schemas that are schemas, a check that names every problem, facts."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from cluster.host import collect
from cluster.host.model import load_facts
from cluster.host.sections import Sections
from tests.cloudctl.conftest import FACTS, SETTINGS, Project, Run

ROOT = Path(__file__).resolve().parents[2]


def test_the_settings_schema_accepts_the_stack_files_and_refuses_a_wrong_unit(project: Project, cloudctl: Run) -> None:
    result = cloudctl("config", "schema")
    assert result.exit_code == 0
    schema = json.loads(result.stdout)
    checker = jsonschema.validators.validator_for(schema)
    checker.check_schema(schema)
    for path in ROOT.glob("Pulumi.*.yaml"):
        checker(schema).validate(yaml.safe_load(path.read_text()))
    bad = {"config": copy.deepcopy(SETTINGS)}
    bad["config"]["inference-cloud:machines"][0]["memory"] = "12GB"
    with pytest.raises(jsonschema.ValidationError):
        checker(schema).validate(bad)


def test_the_host_schema_accepts_one_host_or_several_and_every_twin(project: Project, cloudctl: Run) -> None:
    schema = json.loads(cloudctl("host", "schema").stdout)
    checker = jsonschema.validators.validator_for(schema)
    checker.check_schema(schema)
    checker(schema).validate(FACTS)
    checker(schema).validate([FACTS, {**FACTS, "name": "ws2"}])
    for twin in (ROOT / "lab" / "hosts").glob("*.yaml"):
        checker(schema).validate(yaml.safe_load(twin.read_text()))
    with pytest.raises(jsonschema.ValidationError):
        checker(schema).validate({**FACTS, "memory": "128GB"})


def test_a_stack_file_in_order_is_counted(project: Project, cloudctl: Run) -> None:
    result = cloudctl("config", "check", "Pulumi.prod.yaml")
    assert result.exit_code == 0
    assert "in order (2 machines on 1 hosts, 1 GPUs)" in result.stdout
    assert "cloudctl init prod" in result.stdout
    assert json.loads(cloudctl("config", "check", "Pulumi.prod.yaml", "--json").stdout)["ok"] is True


def test_every_problem_of_a_stack_file_is_named_at_once(project: Project, cloudctl: Run) -> None:
    broken = copy.deepcopy(SETTINGS)
    broken["inference-cloud:machines"][0]["memory"] = "12GB"
    broken["inference-cloud:machines"][1]["cores"] = 0
    broken["inference-cloud:typo"] = {}
    project.settings(broken)
    result = cloudctl("config", "check", "Pulumi.prod.yaml")
    assert result.exit_code == 2
    for said in ("3 problems", "machines[0].memory", "machines[1].cores", "typo"):
        assert said in result.stderr
    result = cloudctl("config", "check", "Pulumi.prod.yaml", "--json")
    assert result.exit_code == 2
    data = json.loads(result.stdout)
    assert data["ok"] is False
    assert all(set(each) == {"path", "reason", "remedy", "value"} for each in data["problems"])
    assert len(data["problems"]) == 3


def test_facts_of_a_host_that_does_not_answer_are_unknown_not_zero(
    project: Project, cloudctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: Any, **__: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 255, "", "ssh: connect to host ws port 22: No route to host\n")

    monkeypatch.setattr(subprocess, "run", silent)
    result = cloudctl("host", "facts", "--uri", "qemu+ssh://root@ws.lab.example/system", "--out", "out.yaml")
    assert result.exit_code == 3
    assert "No route to host" in result.stderr
    (facts,) = load_facts(project.folder / "out.yaml")
    assert (facts.name, facts.memory, facts.cpu.cores) == ("ws", None, None)
    assert facts.unknown


def test_facts_are_yaml_that_reads_back_or_json(
    project: Project, cloudctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "probe", lambda *_: Sections({}, {}))
    result = cloudctl("host", "facts", "--name", "ws")
    (project.folder / "read.yaml").write_text(result.stdout)
    assert load_facts(project.folder / "read.yaml")[0].name == "ws"
    assert json.loads(cloudctl("host", "facts", "--name", "ws", "--json").stdout)["name"] == "ws"


def test_each_reason_is_told_once_with_its_remedy(
    project: Project, cloudctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "error: Failed to connect socket to '/var/run/libvirt/libvirt-sock-ro': Permission denied"
    monkeypatch.setattr(
        collect, "probe", lambda *_: Sections({"cpuinfo": "processor: 0", "iommu": "0"}, {"libvirt": words})
    )
    result = cloudctl("host", "facts", "--name", "ws", "--out", "ws2.yaml")
    assert result.exit_code == 3
    (told,) = [line for line in result.stderr.splitlines() if words in line]
    assert told.startswith("unknown: libvirt, ")
    assert "domains" in told.partition(words)[0]
    assert told.count("sudo usermod -aG libvirt $USER") == 1


def test_a_user_who_may_only_read_is_told_so(project: Project, cloudctl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    words = "error: Failed to connect socket to '/var/run/libvirt/libvirt-sock': Permission denied"
    monkeypatch.setattr(collect, "probe", lambda *_: Sections({}, {"manage": words}))
    result = cloudctl("host", "facts", "--name", "ws")
    assert "libvirt may be read but not used" in result.stderr
    assert "sudo usermod -aG libvirt $USER" in result.stderr


@pytest.mark.parametrize(
    ("words", "option"),
    [(["--name", "Big Box"], "--name"), (["--uri", "http://x"], "--uri"), (["--pool-path", "x"], "--pool-path")],
)
def test_bad_options_of_host_facts_are_bad_input(
    project: Project, cloudctl: Run, words: list[str], option: str
) -> None:
    result = cloudctl("host", "facts", *words)
    assert result.exit_code == 2
    assert option in result.stderr
