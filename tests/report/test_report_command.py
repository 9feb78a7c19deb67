"""``cloudctl report``: what it gathers, where it writes, what it leaves out."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from cloudctl.certificates import Certificates
from cluster.certificates.model import Certificate
from tests.cloudctl import states
from tests.cloudctl.conftest import SETTINGS, Project, Run, cloudctl, project

__all__ = ["cloudctl", "project"]

HISTORY = [
    {
        "kind": "update",
        "startTime": "2026-11-29T03:00:00.000Z",
        "endTime": "2026-11-29T03:30:00.000Z",
        "result": "succeeded",
    }
]


def _stands(project: Project) -> None:
    export = states.whole()
    for number, item in enumerate(item for item in export["deployment"]["resources"] if item.get("custom")):
        item["created"] = f"2026-11-29T03:{number:02}:10.000000Z"
    project.state(export)
    (project.backend / "history.json").write_text(json.dumps(HISTORY))


def test_it_writes_one_page_beside_the_logs_and_says_where(project: Project, cloudctl: Run) -> None:
    _stands(project)
    result = cloudctl("report", "--stack", "prod")
    assert result.exit_code == 0, result.output
    page = project.folder / ".cloud" / "prod" / "report.html"
    assert result.stdout == f"wrote {page}\n"
    assert "VMs running" in page.read_text()
    assert cloudctl("report", "--stack", "prod", "-o", "mine.html").exit_code == 0
    assert (project.folder / "mine.html").is_file()


def test_the_data_is_there_for_programs(project: Project, cloudctl: Run) -> None:
    _stands(project)
    data = json.loads(cloudctl("report", "--stack", "prod", "--json").stdout)
    done = [row for row in data["status"]["phases"] if row["state"] == "done"]
    assert {row["task"] for row in data["timeline"]["tasks"]} == {row["task"] for row in done}
    assert data["timeline"]["last"]["seconds"] == 1800
    (host,) = data["hosts"]
    assert [vm["name"] for vm in host["vms"]] == ["control-1", "gpu-1"]
    assert [gpu["address"] for gpu in host["vms"][1]["gpus"]] == ["0000:41:00.0"]
    assert [gpu["state"] for gpu in host["gpus"]] == ["free"]
    assert not (project.folder / ".cloud").exists()


def test_what_status_says_of_backups_and_certificates_is_in_it(
    project: Project, cloudctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    _stands(project)
    place = {"place": "/mnt/nas/x", "parts": ["state", "leases"]}
    project.settings({**SETTINGS, "inference-cloud:backup": place})
    ended = Certificate("control-1", "API server", "kubernetes", datetime(2020, 1, 1, tzinfo=UTC))
    monkeypatch.setattr(Certificates, "quickly", lambda _: [ended])
    data = json.loads(cloudctl("report", "--stack", "prod", "--json").stdout)
    status = json.loads(cloudctl("status", "--stack", "prod", "--json").stdout)
    assert data["upkeep"]["certificates"] == status["certificates"] and status["certificates"][0]["state"] == "expired"
    assert data["upkeep"]["backup"] == status["backup"]
    assert data["healthy"] is False
    said = [each["message"] for each in data["findings"] if each["severity"] == "warn"]
    assert any(each.startswith("certificate API server of control-1 ended on 2020-01-01") for each in said)
    assert "backups are late, as far as is known here: state, leases" in said


def test_what_cannot_be_asked_is_in_the_report_and_no_reason_to_fail(project: Project, cloudctl: Run) -> None:
    project.state(states.empty())
    project.settings(SETTINGS | {"inference-cloud:hosts": [{"name": "ws", "facts": "nowhere.yaml"}]})
    data = json.loads(cloudctl("report", "--stack", "prod", "--json").stdout)
    assert "nowhere.yaml" in data["hosts"][0]["why"]
    assert data["healthy"] is None
    assert data["fits"] is None
    assert data["timeline"]["tasks"] == []
    assert any(each["severity"] == "unknown" for each in data["findings"])
    assert cloudctl("report", "--stack", "prod").exit_code == 0


def test_a_stack_that_is_not_there_is_bad_input(project: Project, cloudctl: Run) -> None:
    assert cloudctl("report", "--stack", "prod").exit_code == 2
    assert cloudctl("report", "--stack", "nothing").exit_code == 2


def test_no_secret_and_no_ciphertext_is_in_it(project: Project, cloudctl: Run) -> None:
    _stands(project)
    cloudctl("report", "--stack", "prod", "-o", "mine.html")
    page = (project.folder / "mine.html").read_text()
    assert states.SECRET["ciphertext"] not in page
    assert "kubeconfig" not in page
