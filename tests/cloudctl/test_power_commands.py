"""``cloudctl start`` and ``stop``: order, owner marks, patience, and what they do where there is no live host."""

from __future__ import annotations

import copy
import json
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cloudctl.conftest import SETTINGS, Project, Run

CAPTURED = Path(__file__).parent / "captured"
MARK = '<owner xmlns="urn:inference-cloud:owner">{}</owner>'

FAKE_VIRSH = """#!{python}
import json, pathlib, sys
home = pathlib.Path({home!r})
vms = json.loads((home / "vms.json").read_text())
words = sys.argv[1:]
assert words[:2] == ["-q", "-c"], words
verb, name = words[3], words[4]
if verb not in ("domstate", "metadata"):
    with (home / "virsh-calls").open("a") as calls:
        calls.write(f"{{verb}} {{name}}\\n")
if name == "lost":
    sys.exit("error: failed to connect to the hypervisor")
if name not in vms:
    sys.exit(f"error: failed to get domain '{{name}}'")
vm = vms[name]
if verb == "domstate":
    print(vm["state"])
elif verb == "metadata":
    if vm["owner"] is None:
        sys.exit("error: metadata not found: Requested metadata element is not present")
    print({mark!r}.format(vm["owner"]))
elif verb == "shutdown":
    vm["state"] = vm.get("after", "shut off")
elif verb == "start":
    vm["state"] = "running"
(home / "vms.json").write_text(json.dumps(vms))
"""


class Libvirt:
    """A stand-in ``virsh`` whose machines live in a file."""

    def __init__(self, project: Project) -> None:
        self.home = project.folder
        script = project.folder.parent / "bin" / "virsh"
        script.write_text(FAKE_VIRSH.format(python=sys.executable, home=str(self.home), mark=MARK))
        script.chmod(script.stat().st_mode | stat.S_IEXEC)

    def has(self, **vms: Any) -> None:
        """Take machines as ``name="state"`` or ``name=("state", owner)``; ``_`` in a name stands for ``-``."""
        found: dict[str, Any] = {}
        for name, value in vms.items():
            state, owner = value if isinstance(value, tuple) else (value, "cloud/prod")
            found[name.replace("_", "-")] = {"state": state, "owner": owner}
        self.write(found)

    def write(self, vms: dict[str, Any]) -> None:
        (self.home / "vms.json").write_text(json.dumps(vms))

    def calls(self) -> list[str]:
        log = self.home / "virsh-calls"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def libvirt(project: Project) -> Iterator[Libvirt]:
    live = copy.deepcopy(SETTINGS)
    live["inference-cloud:hosts"] = [{"name": "ws"}]
    project.settings(live)
    yield Libvirt(project)


def test_stop_shuts_workers_down_before_control_planes(libvirt: Libvirt, cloudctl: Run) -> None:
    libvirt.has(control_1="running", gpu_1="running")
    result = cloudctl("stop", "--stack", "prod", "--yes")
    assert result.exit_code == 0, result.output
    assert libvirt.calls() == ["shutdown gpu-1", "shutdown control-1"]
    assert "cloudctl start --stack prod" in result.stdout


def test_stop_asks_and_a_no_changes_nothing(libvirt: Libvirt, cloudctl: Run) -> None:
    libvirt.has(control_1="running", gpu_1="running")
    result = cloudctl("stop", "--stack", "prod", input="n\n")
    assert result.exit_code != 0
    assert libvirt.calls() == []


def test_a_dry_run_says_the_order_and_changes_nothing(libvirt: Libvirt, cloudctl: Run) -> None:
    libvirt.has(control_1="running", gpu_1="running")
    result = cloudctl("stop", "--stack", "prod", "--dry-run")
    assert "in this order: gpu-1, control-1" in result.stdout
    libvirt.has(control_1="shut off", gpu_1="shut off")
    result = cloudctl("start", "--stack", "prod", "--dry-run")
    assert "gpu-1" in result.stdout
    assert libvirt.calls() == []


def test_the_owner_is_read_among_other_marks(libvirt: Libvirt, cloudctl: Run) -> None:
    # as virsh metadata of libvirt 9.0 prints the element that cluster/render/domain_xml.py writes
    libvirt.has(control_1="running", gpu_1="running")
    script = libvirt.home.parent / "bin" / "virsh"
    wrapped = "<vm>\\n  <image>0123456789ab</image>\\n  <owner>{}</owner>\\n</vm>"
    script.write_text(script.read_text().replace(repr(MARK), repr(wrapped).replace("\\\\n", "\\n")))
    assert cloudctl("stop", "--stack", "prod", "--dry-run").exit_code == 0
    libvirt.has(control_1="running", gpu_1=("running", "hpc"))
    assert cloudctl("stop", "--stack", "prod", "--dry-run").exit_code == 1


@pytest.mark.parametrize("owner", ["hpc", "cloud/dev", None])
@pytest.mark.parametrize("verb", ["start", "stop"])
def test_a_vm_without_our_mark_means_that_none_is_touched(
    libvirt: Libvirt, cloudctl: Run, verb: str, owner: str | None
) -> None:
    libvirt.has(control_1="running" if verb == "stop" else "shut off", gpu_1=("running", owner))
    result = cloudctl(verb, "--stack", "prod", "--yes")
    assert result.exit_code == 1
    assert f"gpu-1 at qemu:///system belongs to {owner or 'nobody we know'}" in result.stderr
    assert libvirt.calls() == []


def test_a_worker_that_stays_on_keeps_the_control_plane_on(libvirt: Libvirt, cloudctl: Run) -> None:
    ours = {"state": "running", "owner": "cloud/prod"}
    libvirt.write({"control-1": ours, "gpu-1": {**ours, "after": "running"}})
    result = cloudctl("stop", "--stack", "prod", "--yes", "--timeout", "1")
    assert result.exit_code == 1
    assert "virsh -c qemu:///system destroy gpu-1" in result.stderr
    assert libvirt.calls() == ["shutdown gpu-1"]


def test_a_paused_vm_is_said_not_waited_for(libvirt: Libvirt, cloudctl: Run) -> None:
    libvirt.has(control_1="running", gpu_1="paused")
    result = cloudctl("stop", "--stack", "prod", "--yes")
    assert result.exit_code == 1
    assert "gpu-1: paused" in result.stderr
    assert libvirt.calls() == []


def test_nothing_to_stop_is_no_error(libvirt: Libvirt, cloudctl: Run) -> None:
    libvirt.has(control_1="shut off")
    result = cloudctl("stop", "--stack", "prod")
    assert result.exit_code == 0
    assert "no machine of prod is on" in result.stdout


def test_start_switches_stopped_machines_on_control_planes_first_without_the_engine(
    libvirt: Libvirt, project: Project, cloudctl: Run
) -> None:
    libvirt.has(control_1="shut off", gpu_1="shut off")
    result = cloudctl("start", "--stack", "prod", "--yes")
    assert result.exit_code == 0, result.output
    assert libvirt.calls() == ["start control-1", "start gpu-1"]
    assert project.calls() == []


def test_start_brings_up_a_stack_that_is_not_there(libvirt: Libvirt, project: Project, cloudctl: Run) -> None:
    libvirt.has(control_1="running")
    assert cloudctl("start", "--stack", "prod", "--yes").exit_code == 0
    assert project.runs() == [["up", "--stack", "prod", "--policy-pack", "policies", "--yes"]]
    assert libvirt.calls() == []


def test_start_goes_on_with_a_stack_whose_machines_all_run(libvirt: Libvirt, project: Project, cloudctl: Run) -> None:
    libvirt.has(control_1="running", gpu_1="running")
    cloudctl("start", "--stack", "prod")
    assert project.runs() == [["up", "--stack", "prod", "--policy-pack", "policies"]]


def test_a_dry_run_of_a_start_from_nothing_is_a_preview(libvirt: Libvirt, project: Project, cloudctl: Run) -> None:
    libvirt.has()
    cloudctl("start", "--stack", "prod", "--dry-run", "--yes")
    assert project.runs() == [["preview", "--stack", "prod", "--policy-pack", "policies"]]


def test_an_update_that_fails_is_exit_code_1(libvirt: Libvirt, project: Project, cloudctl: Run) -> None:
    libvirt.has()
    (project.backend / "status").write_text("255")
    assert cloudctl("start", "--stack", "prod", "--yes").exit_code == 1


def test_each_failure_of_an_update_is_explained_in_three_lines(
    libvirt: Libvirt, project: Project, cloudctl: Run
) -> None:
    libvirt.has()
    (project.backend / "status").write_text("255")
    (project.backend / "events.jsonl").write_text((CAPTURED / "up-libvirtd-killed.events.jsonl").read_text())
    result = cloudctl("start", "--stack", "prod", "--yes")
    assert result.exit_code == 1
    title, what, why, do = result.stdout.strip().splitlines()
    assert title == "what failed, why, and what to do:"
    assert what == "vm (Domain), pool (Pool), net (Network)"
    assert why.startswith("  why: libvirt, or the way to it, went away in the middle of the work")
    assert "cloudctl recover --stack prod --strays" in do


def test_what_nobody_knows_is_left_to_the_engine_which_printed_it(
    libvirt: Libvirt, project: Project, cloudctl: Run
) -> None:
    libvirt.has()
    (project.backend / "status").write_text("255")
    said = {"severity": "error", "message": "something new", "urn": "urn:pulumi:prod::p::t:i:T::a"}
    (project.backend / "events.jsonl").write_text(json.dumps({"diagnosticEvent": said}) + "\n")
    result = cloudctl("start", "--stack", "prod", "--yes")
    assert (result.exit_code, result.stdout) == (1, "")


def test_start_names_a_settings_file_of_another_place(libvirt: Libvirt, project: Project, cloudctl: Run) -> None:
    libvirt.has()
    elsewhere = project.folder / "elsewhere" / "Pulumi.prod.yaml"
    elsewhere.parent.mkdir()
    (project.folder / "Pulumi.prod.yaml").rename(elsewhere)
    cloudctl("start", "--config-file", str(elsewhere), "--yes")
    assert ["--config-file", str(elsewhere)] == project.calls()[-1][5:7]


def test_with_facts_from_a_file_stop_says_that_there_is_no_live_host(project: Project, cloudctl: Run) -> None:
    result = cloudctl("stop", "--stack", "prod", "--yes")
    assert result.exit_code == 3
    assert "come from a file, so there is no live host to act on" in result.stderr
    assert str(project.folder / "ws.yaml") in result.stderr


def test_with_facts_from_a_file_start_says_so_and_brings_the_stack_up(project: Project, cloudctl: Run) -> None:
    result = cloudctl("start", "--stack", "prod", "--yes")
    assert result.exit_code == 0
    assert "machines were not looked at" in result.stderr
    assert project.calls()[-1][0] == "up"


def test_a_libvirt_that_does_not_answer_and_no_virsh_at_all(
    libvirt: Libvirt, project: Project, cloudctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = copy.deepcopy(SETTINGS)
    settings["inference-cloud:hosts"] = [{"name": "ws"}]
    settings["inference-cloud:machines"][1]["name"] = "lost"
    project.settings(settings)
    libvirt.has(control_1="running")
    result = cloudctl("stop", "--stack", "prod", "--yes")
    assert result.exit_code == 3
    assert "failed to connect to the hypervisor" in result.stderr
    (project.folder.parent / "bin" / "virsh").unlink()
    monkeypatch.setenv("PATH", str(project.folder.parent / "bin"))
    result = cloudctl("stop", "--stack", "prod", "--yes")
    assert result.exit_code == 3
    assert "no virsh on PATH" in result.stderr
