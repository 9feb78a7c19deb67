"""``cloudctl recover``: what it says, what it hands to the engine, and that a dry run hands over nothing."""

from __future__ import annotations

import json
from typing import Any

from tests.cloudctl.conftest import Project, Run

NAMESPACE = "urn:pulumi:prod::inference-cloud::kubernetes:core/v1:Namespace::mlflow"
LEASE = "urn:pulumi:prod::inference-cloud::command:local:Command::gpu-1-lease-0"
PROVIDER = "urn:pulumi:prod::inference-cloud::pulumi:providers:kubernetes::cluster"
STACK = "urn:pulumi:prod::inference-cloud::pulumi:pulumi:Stack::inference-cloud-prod"


def _namespace() -> dict[str, Any]:
    return {
        "urn": NAMESPACE,
        "type": "kubernetes:core/v1:Namespace",
        "custom": True,
        "parent": STACK,
        "provider": f"{PROVIDER}::p1",
        "inputs": {"metadata": {"name": "mlflow"}, "password": "[secret]"},
        "dependencies": ["urn:not-there"],
    }


def _export(*pending: dict[str, Any]) -> dict[str, Any]:
    resources = [
        {"urn": STACK, "type": "pulumi:pulumi:Stack"},
        {"urn": PROVIDER, "type": "pulumi:providers:kubernetes", "custom": True, "id": "p1"},
    ]
    operations = [{"resource": each, "type": "creating"} for each in pending]
    return {"version": 3, "deployment": {"resources": resources, "pending_operations": operations}}


def _lease() -> dict[str, Any]:
    return {"urn": LEASE, "type": "command:local:Command", "custom": True, "inputs": {"create": "true"}}


def test_what_was_cut_off_is_looked_up_or_run_again(project: Project, cloudctl: Run) -> None:
    project.state(_export(_namespace(), _lease()))
    result = cloudctl("recover", "--stack", "prod", "--yes")
    assert result.exit_code == 0, result.output
    assert "look up: mlflow (kubernetes:core/v1:Namespace)" in result.stdout
    assert "run again: gpu-1-lease-0 (command:local:Command)" in result.stdout
    imported = json.loads((project.backend / "imported.json").read_text())["deployment"]
    assert imported["pending_operations"] == []
    assert imported["resources"][-1]["id"] == "mlflow"
    assert f"--target={NAMESPACE}" in project.calls()[-1]


def test_a_dry_run_changes_nothing(project: Project, cloudctl: Run) -> None:
    project.state(_export(_namespace()))
    result = cloudctl("recover", "--stack", "prod", "--dry-run")
    assert result.exit_code == 0
    assert "look up: mlflow" in result.stdout
    assert not (project.backend / "imported.json").exists()


def test_a_stack_that_was_not_cut_off_says_so(project: Project, cloudctl: Run) -> None:
    project.state(_export())
    result = cloudctl("recover", "--stack", "prod")
    assert result.exit_code == 0
    assert "there is nothing to recover" in result.stdout
    shown = json.loads(cloudctl("recover", "--stack", "prod", "--json").stdout)
    assert shown == {"needed": False, "look_up": [], "run_again": [], "unclear": []}


def test_strays_are_looked_for_without_what_the_preview_hides(project: Project, cloudctl: Run) -> None:
    project.state(_export())
    step = {"op": "create", "urn": NAMESPACE, "newState": _namespace()}
    (project.backend / "preview.json").write_text(json.dumps({"steps": [step]}))
    result = cloudctl("recover", "--stack", "prod", "--strays", "--yes")
    assert result.exit_code == 0, result.output
    added = json.loads((project.backend / "imported.json").read_text())["deployment"]["resources"][-1]
    assert added["inputs"] == {"metadata": {"name": "mlflow"}}
    assert added["dependencies"] == []


def test_a_refresh_that_fails_is_told_with_the_way_on(project: Project, cloudctl: Run) -> None:
    project.state(_export(_namespace()))
    (project.backend / "status").write_text("255")
    result = cloudctl("recover", "--stack", "prod", "--yes")
    assert result.exit_code == 1
    assert "run cloudctl recover again" in result.stderr
