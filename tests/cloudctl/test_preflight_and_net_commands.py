"""``cloudctl preflight`` and ``cloudctl net check``: what they print, and how they end. The plays are run elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster import net, preflight
from cluster.net import NetReport, Way
from cluster.report import Problem, Report
from tests.cloudctl.conftest import SETTINGS, Project, Run

SWAP = Problem(
    "gpu-1", "swap", "/dev/vdb", "none: kubelet refuses to start", "swapoff -a, and take it out of /etc/fstab"
)
CLOCK = Problem("control-1", "clock", "is not synchronised", "by NTP", "timedatectl", "warning")


@pytest.fixture
def made(project: Project) -> Project:
    """A project whose VMs are there, and an Ansible."""
    inventory = project.folder / ".cloud" / "prod" / "inventory" / "hosts.yaml"
    inventory.parent.mkdir(parents=True)
    inventory.write_text("{}")
    program = project.folder / ".cloud" / "cache" / "ansible-core.venv" / "bin" / "ansible-playbook"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return project


def answers(monkeypatch: pytest.MonkeyPatch, module: Any, found: Any) -> list[tuple[Any, ...]]:
    seen: list[tuple[Any, ...]] = []

    def check(*words: Any, say: Callable[[str], None]) -> Any:
        seen.append(words)
        say("Ask each node about itself")
        return found

    monkeypatch.setattr(module, "check", check)
    return seen


@pytest.mark.parametrize("words", [("preflight",), ("net", "check")])
def test_without_vms_it_says_what_to_do(project: Project, cloudctl: Run, words: tuple[str, ...]) -> None:
    result = cloudctl(*words, "--stack", "prod")
    assert result.exit_code == 3
    assert "cloudctl start --stack prod" in result.stderr


@pytest.mark.parametrize("words", [("preflight",), ("net", "check")])
def test_without_ansible_it_says_what_to_do(
    made: Project, cloudctl: Run, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    (made.folder / ".cloud" / "cache" / "ansible-core.venv" / "bin" / "ansible-playbook").unlink()
    monkeypatch.setenv("PATH", str(made.folder))
    result = cloudctl(*words, "--stack", "prod")
    assert result.exit_code == 3
    assert "make setup" in result.stderr


def test_an_existing_cluster_has_no_vms_to_look_at(project: Project, cloudctl: Run) -> None:
    config = {key: value for key, value in SETTINGS.items() if not key.endswith("machines")}
    (project.folder / "config").write_text("{}")
    config["inference-cloud:kubernetes"] = {"provisioner": "existing", "kubeconfig": str(project.folder / "config")}
    project.settings(config)
    result = cloudctl("preflight", "--stack", "prod")
    assert result.exit_code == 1, result.output
    assert "no VMs to look at" in result.stderr


def test_preflight_for_people(made: Project, cloudctl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = answers(
        monkeypatch, preflight, Report.of("preflight", ["control-1", "gpu-1"], [SWAP, CLOCK], ["a note"], "/log")
    )
    result = cloudctl("preflight", "--stack", "prod")
    assert result.exit_code == 1
    assert result.stderr == "... Ask each node about itself\n"
    assert max(map(len, result.stdout.splitlines())) <= 100
    for shown in ("gpu-1", "/dev/vdb", "is not synchronised", "note: a note", "1 problem and 1 warning, 2 nodes asked"):
        assert shown in result.stdout
    inventory, log, _, ansible = seen[0]
    assert Path(inventory).name == "hosts.yaml" and str(log).endswith(".cloud/prod/logs/preflight.log")
    assert (ansible / "ansible-playbook").is_file()


def test_preflight_for_programs(made: Project, cloudctl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, preflight, Report.of("preflight", ["control-1"], [CLOCK], (), "/log"))
    result = cloudctl("preflight", "--stack", "prod", "--json")
    assert result.exit_code == 0
    data = json.loads(result.stdout)
    assert (data["ok"], data["problems"], data["warnings"][0]["node"]) == (True, [], "control-1")


def test_net_check_shows_the_matrix_and_the_first_broken_hop(
    made: Project, cloudctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Way("control-1", "gpu-1", None, "", 0.3, 941.0, 1500, 5, 5, True)
    broken = Way("gpu-1", "control-1", "mtu", "1450 bytes pass at most, wanted 1500", 0.3, 90.0, 1450, 10, 10, True)
    report = Report.of("net check", ["control-1", "gpu-1"], [SWAP], (), "/log")
    answers(monkeypatch, net, NetReport((whole, broken), report, True))
    result = cloudctl("net", "check", "--stack", "prod")
    assert result.exit_code == 1
    for shown in ("from / to", "1450 bytes pass at most", "1 of 2 ways are whole; log: /log"):
        assert shown in result.stdout
    data = json.loads(cloudctl("net", "check", "--stack", "prod", "--json").stdout)
    assert [each["hop"] for each in data["ways"]] == [None, "mtu"]


def test_net_check_of_whole_ways_shows_what_they_carry(
    made: Project, cloudctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = (Way("control-1", "gpu-1", None, "", 0.3, 941.0, 1500, 5, 5, None), Way("gpu-1", "control-1"))
    answers(monkeypatch, net, NetReport(ways, Report.of("net check", ["control-1", "gpu-1"], [], (), "/log"), False))
    result = cloudctl("net", "check", "--stack", "prod")
    assert result.exit_code == 0
    assert "941.0" in result.stdout and "2 of 2 ways are whole" in result.stdout
