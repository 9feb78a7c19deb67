"""``cloudctl capacity --fit``: what it prints, what it writes, and what it leaves alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from cluster.host.model import load_facts
from cluster.leases.book import Book, Lease
from cluster.leases.file import LeaseFile
from tests.cloudctl.conftest import FACTS, SETTINGS, Project, Run

SMALL = {**FACTS, "memory": "40GiB"}
HPC = {"name": "hpc-1", "owner": "hpc", "state": "running", "cores": 8, "memory": "90GiB"}


def ask(cloudctl: Run, code: int, *more: str) -> dict[str, Any]:
    result = cloudctl("capacity", "--stack", "prod", "--json", "--fit", *more)
    assert result.exit_code == code, result.output
    found: dict[str, Any] = json.loads(result.stdout)["fit"]
    return found


def test_a_diff_is_printed_and_nothing_is_written(project: Project, cloudctl: Run) -> None:
    project.facts(SMALL)
    file = project.folder / "Pulumi.prod.yaml"
    before = file.read_text()
    result = cloudctl("capacity", "--stack", "prod", "--fit")
    assert result.exit_code == 1
    for shown in (
        "machines[1].memory (32GiB) becomes 24GiB: Insufficient ram: need 48 GB, have 40 GB",
        "--- a/Pulumi.prod.yaml\n+++ b/Pulumi.prod.yaml\n@@ ",
        "-    memory: 32GiB\n+    memory: 24GiB\n",
        "to change it so: add --write",
    ):
        assert shown in result.stdout
    assert file.read_text() == before
    (change,) = ask(cloudctl, 1)["files"]
    assert (change["file"], change["written"]) == (str(file), False)


def test_write_changes_the_file_and_the_plan_then_fits(project: Project, cloudctl: Run) -> None:
    project.facts(SMALL)
    found = ask(cloudctl, 0, "--write")
    assert found["state"] == "smaller"
    assert [each["written"] for each in found["files"]] == [True]
    machines = yaml.safe_load((project.folder / "Pulumi.prod.yaml").read_text())["config"]["inference-cloud:machines"]
    assert [machine["memory"] for machine in machines] == ["12GiB", "24GiB"]
    empty: dict[str, Any] = {key: [] for key in ("stop", "changes", "reasons", "remarks", "files")}
    assert ask(cloudctl, 0) == {"state": "fits", **empty}


def test_a_vm_that_stands_and_goes_is_named(project: Project, cloudctl: Run) -> None:
    more = {**SETTINGS["inference-cloud:machines"][1], "name": "gpu-2", "address": "192.168.200.22"}
    more["gpus"] = [{"address": "0000:61:00.0", "siblings": "auto"}]
    project.settings({**SETTINGS, "inference-cloud:machines": [*SETTINGS["inference-cloud:machines"], more]})
    standing = {"name": "gpu-2", "owner": "cloud/prod", "state": "running", "cores": 12, "memory": "32GiB"}
    project.facts({**FACTS, "memory": "14GiB", "domains": [standing]})
    found = ask(cloudctl, 1)
    assert found["remarks"] == ["vm gpu-2 stands: the next update deletes it, with what is on its disk"]


def test_stopping_the_hpc_cluster_comes_first_where_it_is_enough(project: Project, cloudctl: Run) -> None:
    project.settings({**SETTINGS, "inference-cloud:hpc": {"name": "hpc", "stop": "/opt/stop-node"}})
    project.facts({**FACTS, "domains": [HPC]})
    file = project.folder / "Pulumi.prod.yaml"
    before = file.read_text()
    found = ask(cloudctl, 1, "--write")
    assert found["state"] == "stop"
    assert found["stop"] == [{"host": "ws", "vms": ["hpc-1"], "command": "/opt/stop-node hpc-1"}]
    assert file.read_text() == before
    shown = cloudctl("capacity", "--stack", "prod", "--fit").stdout
    assert (
        "it is enough to stop VMs of the HPC cluster; then the plan fits as it is:\n  /opt/stop-node hpc-1\n" in shown
    )
    kept = ask(cloudctl, 0, "--keep-hpc", "--write")
    assert kept["state"] == "smaller"
    assert file.read_text() != before
    assert ask(cloudctl, 0)["state"] == "fits"


def test_where_nothing_fits_the_file_stays(project: Project, cloudctl: Run) -> None:
    project.facts({**FACTS, "cpu": {**FACTS["cpu"], "virtualization": False}})
    file = project.folder / "Pulumi.prod.yaml"
    before = file.read_bytes()
    found = ask(cloudctl, 1, "--write")
    assert found["state"] == "nothing"
    assert any("hardware virtualisation of host ws is off" in reason for reason in found["reasons"])
    assert file.read_bytes() == before


def test_a_card_that_another_stack_has_leased_is_not_proposed(project: Project, cloudctl: Run) -> None:
    """The verdict knows nothing of leases; the program would refuse the plan by them."""
    here = load_facts(project.folder / "ws.yaml")[0].name
    lease = Lease(here, "0000:41:00.0", "cloud/dev", "other", "2026-01-01T00:00:00+00:00")
    LeaseFile(project.folder / "state.json").change(lambda book: Book((lease,), book.seen))
    found = ask(cloudctl, 0, "--write")
    assert [(each["path"], each["after"]) for each in found["changes"]] == [
        ("machines[1].gpus[0].address", "0000:61:00.0")
    ]
    assert ask(cloudctl, 0)["state"] == "fits"


def test_unknown_facts_propose_nothing(project: Project, cloudctl: Run) -> None:
    (project.folder / "ws.yaml").unlink()
    result = cloudctl("capacity", "--stack", "prod", "--fit", "--write", "--json")
    assert result.exit_code == 3
    assert "fit" not in json.loads(result.stdout)


@pytest.mark.parametrize("option", ["--write", "--keep-hpc"])
def test_options_of_fit_need_it(project: Project, cloudctl: Run, option: str) -> None:
    result = cloudctl("capacity", "--stack", "prod", option)
    assert result.exit_code == 2
    assert "add --fit" in result.stderr
