"""Plan A on the real engine: what ``cloudctl capacity --fit --write`` makes of the stack file passes the preview.

The program's verdict and the policy pack look at it as they would on the real host. Many more hosts, without an engine:
``tests/budget/test_budget_fit.py``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cluster.settings.load import from_file
from lab.workspace import ROOT, Workspace
from tests.engine.rehearsal import Lab

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("fit")]

PLANS = {
    "below-minimum": ["control-1", "worker-1", "gpu-1"],
    "gpus-held": ["control-1", "worker-1", "gpu-1"],
    "no-iommu": ["control-1", "worker-1"],
    "old-gpu": ["control-1", "worker-1"],
    "shared-group": ["control-1", "worker-1", "gpu-1"],
}
"""The VMs that are left of the production stack on each twin, ``below-minimum`` with a link that is fast enough.

Every time only that one, where VMs are made smaller as well: the runbooks of plan A and plan C go through ``gpus-held``
and ``no-iommu``, and the policies' functions through all (``tests/budget/test_budget_fit.py``).
"""
SELDOM = [pytest.mark.slow, pytest.mark.exhaustive]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """One rehearsal in which nothing is ever made: previews only."""
    return Lab(Workspace("prod", tmp_path_factory.mktemp("fit") / "lab"))


def twin(name: str, folder: Path) -> Path:
    facts = yaml.safe_load((ROOT / "lab" / "hosts" / f"{name}.yaml").read_text())
    if name == "below-minimum":
        for nic in facts["nics"]:
            nic["mbps"] = 1000
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(facts, sort_keys=False))
    return file


def fit(file: Path, host: Path) -> subprocess.CompletedProcess[str]:
    words = ["capacity", "--config-file", str(file), "--host-file", str(host), "--fit", "--write"]
    return subprocess.run([sys.executable, "-m", "cloudctl", *words], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "below-minimum" else SELDOM) for name in sorted(PLANS)]
)
def test_the_plan_that_is_written_passes_the_preview(shared: Lab, tmp_path: Path, name: str) -> None:
    host, file = twin(name, tmp_path), tmp_path / "Pulumi.prod.yaml"
    file.write_text((ROOT / "Pulumi.prod.yaml").read_text())
    done = fit(file, host)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [machine.name for machine in from_file(file).machines] == PLANS[name]
    seen = shared("up", "--host-file", str(host), "--settings", str(file), "--preview-only", "--pace", "0")
    assert seen.returncode == 0, seen.stdout + seen.stderr
    assert "preview passed" in seen.stdout


def test_on_a_host_at_fault_nothing_is_written(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.prod.yaml"
    file.write_text((ROOT / "Pulumi.prod.yaml").read_text())
    done = fit(file, ROOT / "lab" / "hosts" / "below-minimum.yaml")
    assert done.returncode == 1
    assert "no smaller plan fits either" in done.stdout
    assert file.read_text() == (ROOT / "Pulumi.prod.yaml").read_text()
