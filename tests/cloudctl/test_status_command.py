"""``cloudctl status``: what a state, the settings and the hosts' facts come to; healthy only when all of it is."""

from __future__ import annotations

import copy
import json
import os
import shutil
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from cloudctl import live
from cloudctl.certificates import Certificates
from cluster import phases
from cluster.certificates.model import Certificate
from lab import workspace
from lab.workspace import Workspace
from tests.cloudctl import states
from tests.cloudctl.conftest import FACTS, SETTINGS, Project, Run
from tests.kserve.forwarding import put_on_path

TEXT = {"type": ["string", "null"]}
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": [
        "stack",
        "healthy",
        "resources",
        "phases",
        "vms",
        "nodes",
        "services",
        "answers",
        "endpoints",
        "problems",
        "certificates",
        "backup",
        "remarks",
    ],
    "properties": {
        "stack": {"type": "string"},
        "healthy": {"type": ["boolean", "null"]},
        "resources": {"type": "integer"},
        "phases": {
            "type": "array",
            "minItems": 18,
            "maxItems": 18,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["task", "phase", "title", "resources", "state", "reason"],
                "properties": {
                    "task": {"type": "string"},
                    "phase": {"type": "integer"},
                    "title": {"type": "string"},
                    "resources": {"type": "integer", "minimum": 0},
                    "state": {"enum": ["done", "partial", "missing", "skipped", "pending-operation"]},
                    "reason": {"type": "string"},
                },
            },
        },
        "vms": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "host", "role", "address", "cores", "memory_mib", "gpus", "state"],
                "properties": {
                    "name": {"type": "string"},
                    "host": TEXT,
                    "role": TEXT,
                    "address": TEXT,
                    "cores": {"type": ["integer", "null"]},
                    "memory_mib": {"type": ["integer", "null"]},
                    "gpus": {"type": "array", "items": {"type": "string"}},
                    "state": {"enum": ["running", "paused", "shut-off", "gone", "foreign", "missing", "unknown"]},
                },
            },
        },
        "nodes": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "role", "address", "kubernetes", "state", "reason"],
                "properties": {"state": {"enum": ["ready", "not-ready", "unknown"]}},
            },
        },
        "services": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "namespace", "kind", "version", "task", "state"],
            },
        },
        "answers": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "kind", "state", "ok", "latency_ms", "asked", "reason"],
                "properties": {
                    "name": {"type": "string"},
                    "kind": {"enum": ["object-store", "database", "mlflow", "model"]},
                    "state": {"enum": ["up", "degraded", "down", "not-asked", "stopped", "rehearsed"]},
                    "ok": {"type": ["boolean", "null"]},
                    "latency_ms": {"type": ["number", "null"]},
                    "asked": {"type": "string"},
                    "reason": {"type": "string"},
                },
            },
        },
        "endpoints": {"type": "array", "items": {"required": ["name", "address"], "additionalProperties": False}},
        "problems": {"type": "array", "items": {"type": "string"}},
        "certificates": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["where", "name", "kind", "subject", "ends", "days", "state", "reason", "remedy"],
                "properties": {
                    "kind": {"enum": ["kubernetes", "authority", "kubeconfig", "cert-manager", "served"]},
                    "ends": TEXT,
                    "days": {"type": ["integer", "null"]},
                    "state": {"enum": ["valid", "ends soon", "expired", "unknown"]},
                    **{key: {"type": "string"} for key in ("where", "name", "subject", "reason", "remedy")},
                },
            },
        },
        "backup": {
            "type": ["object", "null"],
            "additionalProperties": False,
            "required": ["place", "last", "ok", "late"],
            "properties": {
                "place": {"type": "string"},
                "last": TEXT,
                "ok": {"type": ["boolean", "null"]},
                "late": {"type": "array", "items": {"type": "string"}},
            },
        },
        "remarks": {
            "type": "array",
            "items": {
                "required": ["message", "remedy"],
                "additionalProperties": False,
                "properties": {"message": {}, "remedy": {}},
            },
        },
    },
}
for _part in ("nodes", "services"):
    _items = SCHEMA["properties"][_part]["items"]  # type: ignore[index]
    _items["properties"] = {**dict.fromkeys(_items["required"], TEXT), **_items.get("properties", {})}
SCHEMA["properties"]["endpoints"]["items"]["properties"] = {"name": TEXT, "address": TEXT}  # type: ignore[index]


def domain(name: str, state: str = "running", owner: str = "cloud/prod") -> dict[str, Any]:
    return {"name": name, "owner": owner, "state": state, "cores": 6, "memory": "12GiB"}


def running() -> dict[str, Any]:
    return {**FACTS, "domains": [domain("control-1"), domain("gpu-1")]}


def ask(cloudctl: Run, code: int) -> dict[str, Any]:
    result = cloudctl("status", "--stack", "prod", "--json")
    assert result.exit_code == code, result.output
    data: dict[str, Any] = json.loads(result.stdout)
    jsonschema.validate(data, SCHEMA)
    return data


def states_of(data: dict[str, Any]) -> dict[str, str]:
    return {row["task"]: row["state"] for row in data["phases"]}


def test_a_stack_that_is_up_is_healthy(project: Project, cloudctl: Run) -> None:
    project.state(states.whole())
    project.facts(running())
    data = ask(cloudctl, 0)
    assert data["healthy"] is True
    assert states_of(data) == {task: "skipped" if task in states.SKIPPED else "done" for task in phases.TASKS}
    assert [(vm["name"], vm["state"], vm["cores"]) for vm in data["vms"]] == [
        ("control-1", "running", 6),
        ("gpu-1", "running", 12),
    ]
    assert data["endpoints"] == [
        {"name": "mlflow", "address": "https://mlflow.models.internal"},
        {"name": "api", "address": "192.168.200.11:6443"},
    ]
    assert {row["name"]: (row["state"], row["task"]) for row in data["services"]}["mlflow"] == ("deployed", "CLOUD-3.3")
    assert {node["state"] for node in data["nodes"]} == {"unknown"}
    assert "no live cluster" in data["nodes"][0]["reason"]
    assert {each["name"] for each in data["answers"]} >= {"minio", "postgresql", "mlflow"}
    assert {each["state"] for each in data["answers"]} == {"rehearsed"}


@pytest.mark.parametrize("missing", ["kubeconfig", "kubectl", "passphrase"])
def test_a_stack_whose_services_nobody_could_ask_is_neither_healthy_nor_not(
    project: Project, cloudctl: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: str
) -> None:
    project.settings({**SETTINGS, "inference-cloud:hosts": [{"name": "ws"}]})
    project.state(states.whole())
    monkeypatch.setattr(live, "hosts", lambda *words, **more: {})
    monkeypatch.setattr(live, "nodes", lambda *words, **more: "nobody asked")
    if missing != "kubeconfig":
        config = project.folder / ".cloud/prod/kubeconfig"
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text("")
    if missing == "kubectl":
        which = shutil.which
        monkeypatch.setattr(shutil, "which", lambda name, **more: None if name == "kubectl" else which(name, **more))
    else:
        put_on_path(tmp_path / "kubectl", {})
        monkeypatch.setenv("PATH", f"{tmp_path / 'kubectl'}{os.pathsep}{os.environ['PATH']}")
    # FAKE_PULUMI answers nothing that has to be decrypted: as without the passphrase
    data = ask(cloudctl, 1 if missing == "passphrase" else 3)
    by_kind = {each["kind"]: each["state"] for each in data["answers"]}
    assert by_kind["database"] == by_kind["mlflow"] == "not-asked"
    if missing == "passphrase":  # the store is asked without one, and this cluster does not have it
        assert (by_kind["object-store"], data["healthy"]) == ("down", False)
        return
    assert set(by_kind.values()) == {"not-asked"} and data["healthy"] is None
    shown = cloudctl("status", "--stack", "prod")
    assert shown.exit_code == 3 and f"{missing}" in shown.stdout
    assert "could not find out how minio, postgresql, mlflow do" in shown.stdout


def test_a_service_that_does_not_answer_is_not_healthy(
    project: Project, cloudctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.state(states.whole())
    project.facts(running())
    with socket.socket() as nobody:  # bound and not listening: nobody else gets the port
        nobody.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        for name, value in {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
        }.items():
            monkeypatch.setenv(name, value)
        data = ask(cloudctl, 1)
        shown = cloudctl("status", "--stack", "prod")
    assert data["healthy"] is False
    (store,) = [each for each in data["answers"] if each["kind"] == "object-store"]
    assert (store["ok"], store["state"]) == (False, "down")
    assert address in store["asked"] and "refused" in store["reason"]
    assert shown.exit_code == 1
    assert "no answer" in shown.stdout


def test_the_tables_fit_100_columns_and_show_no_secret(project: Project, cloudctl: Run) -> None:
    project.state(states.whole())
    project.facts(running())
    result = cloudctl("status", "--stack", "prod")
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 100
    for shown in ("CLOUD-2.1", "control-1", "192.168.200.21", "https://mlflow.models.internal", "0000:41:00.0"):
        assert shown in result.stdout
    assert "ciphertext" not in result.stdout
    assert "v1:AAAA" not in result.stdout


def test_a_stack_that_was_never_brought_up_lacks_everything(project: Project, cloudctl: Run) -> None:
    project.state(states.empty())
    data = ask(cloudctl, 1)
    assert set(states_of(data).values()) == {"missing", "skipped"}
    assert {vm["state"] for vm in data["vms"]} == {"missing"}
    assert "cloudctl start --stack prod" in cloudctl("status", "--stack", "prod").stdout


def test_a_task_that_was_never_begun_is_missing(project: Project, cloudctl: Run) -> None:
    project.state(states.without(states.whole(), "CLOUD-3.3", "CLOUD-3.4"))
    project.facts(running())
    found = states_of(ask(cloudctl, 1))
    assert {task for task, state in found.items() if state == "missing"} == {"CLOUD-3.3", "CLOUD-3.4"}
    assert "some of these may not answer" in cloudctl("status", "--stack", "prod").stdout


def test_a_component_that_told_no_outputs_is_partial(project: Project, cloudctl: Run) -> None:
    export = states.whole()
    mlflow = next(item for item in export["deployment"]["resources"] if item["type"] == "cloud:mlops:MLflow")
    del mlflow["outputs"]
    project.state(export)
    project.facts(running())
    row = next(row for row in ask(cloudctl, 1)["phases"] if row["task"] == "CLOUD-3.3")
    assert (row["state"], row["reason"]) == ("partial", "not finished: mlflow")


def test_a_component_that_still_waits_for_others_has_not_begun(project: Project, cloudctl: Run) -> None:
    export = states.without(states.whole(), "CLOUD-3.4")
    kserve = states.component("cloud:mlops:KServe", "kserve", states.STACK, {"task": "CLOUD-3.4"}, {})
    export["deployment"]["resources"].append(kserve)
    project.state(export)
    project.facts(running())
    row = next(row for row in ask(cloudctl, 1)["phases"] if row["task"] == "CLOUD-3.4")
    assert (row["state"], row["reason"], row["resources"]) == ("missing", "not begun", 0)


def test_a_resource_that_did_not_come_up_makes_its_task_partial(project: Project, cloudctl: Run) -> None:
    export = states.whole()
    release = next(
        item for item in export["deployment"]["resources"] if item["type"] == "kubernetes:helm.sh/v3:Release"
    )
    release["initErrors"] = ["timed out waiting for the condition"]
    project.state(export)
    project.facts(running())
    data = ask(cloudctl, 1)
    assert states_of(data)["CLOUD-2.2"] == "partial"
    assert next(row for row in data["services"] if row["task"] == "CLOUD-2.2")["state"] == "not-ready"


def test_a_cut_off_operation_is_told_with_its_remedy(project: Project, cloudctl: Run) -> None:
    export = states.whole()
    image = next(item for item in export["deployment"]["resources"] if item["type"] == "cloud:images:BaseImage")
    opened = states.custom("command:local:Command", "build", image, {})
    export["deployment"]["pending_operations"] = [{"resource": opened, "type": "creating"}]
    project.state(export)
    project.facts(running())
    data = ask(cloudctl, 1)
    assert states_of(data)["CLOUD-1.1"] == "pending-operation"
    assert data["problems"] == ["command:local:Command build: creating was cut off; run pulumi refresh, then pulumi up"]


@pytest.mark.parametrize(
    ("domains", "expected"),
    [
        ([domain("control-1"), domain("gpu-1", "shut-off")], "shut-off"),
        ([domain("control-1")], "gone"),
        ([domain("control-1"), domain("gpu-1", owner="hpc")], "foreign"),
    ],
)
def test_a_vm_that_is_not_as_planned_is_not_healthy(
    project: Project, cloudctl: Run, domains: list[dict[str, Any]], expected: str
) -> None:
    project.state(states.whole())
    project.facts({**FACTS, "domains": domains})
    assert {vm["name"]: vm["state"] for vm in ask(cloudctl, 1)["vms"]} == {"control-1": "running", "gpu-1": expected}


def test_a_host_that_cannot_be_asked_leaves_its_vms_unknown_and_says_why(project: Project, cloudctl: Run) -> None:
    project.state(states.whole())
    (project.folder / "ws.yaml").unlink()
    data = ask(cloudctl, 0)
    assert {vm["state"] for vm in data["vms"]} == {"unknown"}
    assert any(problem.startswith("host ws:") and "ws.yaml" in problem for problem in data["problems"])


def test_a_stack_file_with_problems_still_shows_the_state(project: Project, cloudctl: Run) -> None:
    project.state(states.whole())
    broken = copy.deepcopy(SETTINGS)
    broken["inference-cloud:machines"][0]["cores"] = 0
    project.settings(broken)
    data = ask(cloudctl, 1)
    assert states_of(data)["CLOUD-3.3"] == "done"
    assert any("cores" in problem for problem in data["problems"])


def test_an_unknown_stack_is_bad_input_and_an_absent_engine_cannot_be_asked(
    project: Project, cloudctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = cloudctl("status", "--stack", "staging")
    assert result.exit_code == 2
    assert "there: prod" in result.stderr
    assert "cloudctl init staging" in result.stderr
    monkeypatch.setenv("PATH", str(project.folder))
    result = cloudctl("status", "--stack", "prod")
    assert result.exit_code == 3
    assert "make engine" in result.stderr


def test_without_a_stack_the_selected_one_is_meant_then_the_only_file(project: Project, cloudctl: Run) -> None:
    project.state(states.empty())
    assert json.loads(cloudctl("status", "--json").stdout)["stack"] == "prod"
    project.stacks("prod", selected=None)
    assert json.loads(cloudctl("status", "--json").stdout)["stack"] == "prod"
    project.settings(SETTINGS, "dev")
    result = cloudctl("status", "--json")
    assert result.exit_code == 2
    assert "dev, prod" in result.stderr
    assert "--stack NAME" in result.stderr


def test_a_rehearsals_environment_names_stack_and_file(
    project: Project, cloudctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.state(states.whole(), "dev")
    project.facts(running())
    project.settings(SETTINGS, "other")
    monkeypatch.setenv("CLOUD_STACK", "dev")
    monkeypatch.setenv("CLOUD_CONFIG_FILE", str(project.folder / "Pulumi.other.yaml"))
    data = json.loads(cloudctl("status", "--json").stdout)
    assert data["stack"] == "dev"
    assert [vm["name"] for vm in data["vms"]] == ["control-1", "gpu-1"]


def test_lab_looks_at_the_rehearsal_with_its_own_backend(
    project: Project, cloudctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = project.folder / ".lab"
    monkeypatch.setenv("CLOUD_ENGINE_BIN", str(project.folder.parent / "bin"))
    monkeypatch.setattr(workspace, "Workspace", lambda stack: Workspace(stack, home))
    result = cloudctl("status", "--lab", "--stack", "prod")
    assert result.exit_code == 3
    assert "make lab STACK=prod" in result.stderr
    project.state(states.whole())
    project.facts(running())
    (home / "prod").mkdir(parents=True)
    (project.folder / "Pulumi.prod.yaml").rename(home / "prod" / "Pulumi.prod.yaml")
    assert json.loads(cloudctl("status", "--lab", "--stack", "prod", "--json").stdout)["healthy"] is True
    assert project.environments()[-1].startswith(f"file://{home / 'state'}?")


def test_how_backups_stand_is_told_from_what_was_last_done_here(project: Project, cloudctl: Run) -> None:
    project.state(states.whole())
    project.facts(running())
    assert ask(cloudctl, 0)["remarks"][0]["message"].startswith("nothing of this stack is backed up")
    project.settings({**SETTINGS, "inference-cloud:backup": {"place": "/mnt/nas/x", "parts": ["state", "leases"]}})
    data = ask(cloudctl, 0)
    assert [each["message"] for each in data["remarks"]] == [
        "alerts reach nobody: they are seen in the consoles only",
        "no alert tells when backups fail or are late",
    ]
    assert data["backup"] == {"place": "/mnt/nas/x", "last": None, "ok": None, "late": ["state", "leases"]}
    folder = project.folder / ".cloud/prod/backup"
    folder.mkdir(parents=True)
    told = {"run": "20200101T023000Z", "ok": True, "place": "/mnt/nas/x", "kept": {"state": "20200101T023000Z"}}
    (folder / "last.json").write_text(json.dumps(told))
    assert ask(cloudctl, 0)["backup"]["late"] == ["state", "leases"]
    shown = cloudctl("status", "--stack", "prod").stdout
    assert "backups into /mnt/nas/x: last 2020-01-01T02:30:00+00:00" in shown and "late: state, leases" in shown


def test_a_certificate_that_has_ended_is_not_healthy(
    project: Project, cloudctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.state(states.whole())
    project.facts(running())

    left = [0]

    def quickly(self: Certificates) -> list[Certificate]:
        ends = datetime.now(UTC) + timedelta(days=left[0])
        return [Certificate("control-1", "API server", "kubernetes", ends, "kube-apiserver")]

    monkeypatch.setattr(Certificates, "quickly", quickly)
    for days, code, said in ((200, 0, ""), (10, 0, "ends in 9 days; cloudctl certs renew"), (-1, 1, "ended on")):
        left[0] = days
        data = ask(cloudctl, code)
        assert said in " ".join(data["problems"])
        assert bool(data["problems"]) == bool(said)
