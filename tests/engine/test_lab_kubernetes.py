"""The steps of Kubernetes on the real engine: each fails at first and again, and is gone on from; their order."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.settings.model import NAMESPACE
from lab.workspace import ROOT, Workspace
from tests.engine.rehearsal import Lab

pytestmark = pytest.mark.engine

STEPS = ("preflight", "control-plane", "control-plane-check", "workers", "workers-check", "kubeconfig")


@pytest.fixture
def dev(tmp_path: Path) -> Lab:
    return Lab(Workspace("dev", tmp_path / "lab"))


def begun(lab: Lab) -> list[str]:
    """Return the commands of Kubernetes that were begun, in order."""
    lines = [json.loads(line) for line in (lab.place.dir / "journal.jsonl").read_text().splitlines()]
    names = [str(line["urn"]).rsplit("::", 1)[-1] for line in lines if line.get("event", "begin") == "begin"]
    return [name.removeprefix("kubernetes-") for name in names if name.startswith("kubernetes-")]


@pytest.mark.slow
def test_each_step_that_fails_at_first_and_again_is_gone_on_from(dev: Lab, tmp_path: Path) -> None:
    """One update, each step of which fails twice: what comes after is not begun, what was done is not done again."""
    words = {step: f"kubernetes step {step} failed for stack dev" for step in STEPS}
    fault = {"operation": "create", "effect": "fail", "times": 2}
    faults = [{**fault, "resource": f"kubernetes-{step}$", "message": said} for step, said in words.items()]
    file = tmp_path / "faults.yaml"
    file.write_text(yaml.safe_dump(faults))
    for number, step in enumerate(STEPS):
        for _ in range(2):
            failed = dev("up", "--faults", str(file), "--pace", "0")
            assert failed.returncode == 1, failed.stdout
            assert words[step] in failed.stdout
            assert not set(STEPS[number + 1 :]) & set(begun(dev))
    dev.up("--faults", str(file), "--pace", "0")
    assert Counter(each for each in begun(dev) if each in STEPS) == dict.fromkeys(STEPS, 3)
    assert "no changes" in dev.up("--pace", "0").stdout
    assert dev("down").returncode == 0


@pytest.mark.slow
def test_an_existing_cluster_needs_no_vm(tmp_path: Path) -> None:
    lab = Lab(Workspace("dev", tmp_path / "lab"))
    document: dict[str, Any] = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())
    config = document["config"]
    config[f"{NAMESPACE}:machines"] = []
    config[f"{NAMESPACE}:kubernetes"] = {"provisioner": "existing", "kubeconfig": "~/.kube/config"}
    settings = tmp_path / "existing.yaml"
    settings.write_text(yaml.safe_dump(document))
    lab.up("--settings", str(settings), "--pace", "0")
    assert begun(lab)[-2:] == ["check", "kubeconfig"]
    journal = (lab.place.dir / "journal.jsonl").read_text()
    assert "libvirt:" not in journal
    assert "kubernetes:helm.sh/v3:Release" in journal
    assert lab("down").returncode == 0
