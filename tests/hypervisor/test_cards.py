"""Real libvirt gives played GPUs to VMs: the tests of ``inside/`` run in a private hypervisor, one start for many."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.hypervisor.namespaces import ROOT
from lab.hypervisor.needs import MARK, missing

INSIDE = Path(__file__).parent / "inside"
HOSTS = ROOT / "lab/hosts"

pytestmark = [
    pytest.mark.daemon,
    pytest.mark.xdist_group("hypervisor"),
    pytest.mark.skipif(bool(missing()), reason=f"no private hypervisor here: {missing()}"),
    pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="no /dev/fuse, with which the kernel is played"),
    pytest.mark.skipif(bool(os.environ.get(MARK)), reason="runs outside of the private hypervisor"),
]


def run(cards: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a private hypervisor with the cards of a facts file."""
    words = [sys.executable, "-m", "lab.hypervisor", "exec", "--cards", str(cards), "--", *command]
    return subprocess.run(words, cwd=ROOT, text=True, capture_output=True, timeout=900)


@pytest.mark.parametrize("host", ["workstation", "shared-group", "no-iommu"])
def test_passthrough_on(host: str) -> None:
    tests = INSIDE / f"{host.replace('-', '_')}.py"
    done = run(HOSTS / f"{host}.yaml", sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(tests))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout.splitlines()[-1], done.stdout


def test_cards_of_two_hosts_are_refused() -> None:
    done = run(HOSTS / "two-hosts.yaml", "true")
    assert done.returncode == 3
    assert "two-hosts.yaml: holds 2 hosts" in done.stdout


def test_a_facts_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path / "none.yaml", "true")
    assert done.returncode == 3
    assert "none.yaml" in done.stdout
    assert "No such file" in done.stdout
