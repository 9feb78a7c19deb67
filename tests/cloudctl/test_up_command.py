"""``cloudctl up``: what an earlier run left is taken up first, and a VM that could not start gives its GPUs back."""

from __future__ import annotations

import copy
import json
import stat
import sys
from dataclasses import replace
from typing import Any

import pytest

from cluster.identity import libvirt_uuid
from cluster.leases import Book, Lease, LeaseFile, Update
from cluster.leases.text import dump
from tests.cloudctl.conftest import SETTINGS, Project, Run
from tests.cloudctl.test_recover_command import NAMESPACE, PROVIDER, STACK, _namespace

UUID = {name: libvirt_uuid("prod", "ws", "domain", name) for name in ("control-1", "gpu-1")}
POOL = libvirt_uuid("prod", "ws", "pool", "inference-cloud")
OVER = Update("an earlier boot", 1, 1)
LEASE = Lease("ws", "0000:41:00.0", "cloud/prod", "gpu-1", "2026-01-01T00:00:00+00:00", OVER)
UP = ("up", "--stack", "prod", "--yes")

FAKE_VIRSH = """#!{python}
import json, pathlib, sys
home = pathlib.Path({home!r})
world = json.loads((home / "libvirt.json").read_text())
verb, *words = sys.argv[4:]
if world.get("down"):
    sys.exit("error: failed to connect to the hypervisor")
if verb == "domstate":
    if words[0] not in world["vms"]:
        sys.exit(f"error: failed to get domain '{{words[0]}}'")
    state = world["vms"][words[0]]
    print(state if "--reason" in words else state.partition(" (")[0])
elif verb == "pool-uuid" and world["pool"]:
    print({pool!r})
elif verb == "pool-info" and world["pool"]:
    print(f"State: {{world['pool'].split()[-1]}}")
elif verb == "pool-start" and world["pool"].startswith("stubborn"):
    sys.exit("error: it does not start")
elif verb in ("net-uuid", "net-info", "pool-uuid", "pool-info"):
    sys.exit("error: not found")
else:
    with (home / "acted").open("a") as acted:
        acted.write(" ".join([verb, *words]) + "\\n")
    if verb == "undefine":
        del world["vms"][words[0]]
    if verb == "pool-start":
        world["pool"] = "running"
(home / "libvirt.json").write_text(json.dumps(world))
"""


class Host:
    """A libvirt with VMs by UUID and maybe a pool of ours, and the lease on gpu-1's card."""

    def __init__(self, project: Project) -> None:
        self.project = project
        live = copy.deepcopy(SETTINGS)
        live["inference-cloud:hosts"] = [{"name": "ws"}]
        project.settings(live)
        script = project.folder.parent / "bin" / "virsh"
        script.write_text(FAKE_VIRSH.format(python=sys.executable, home=str(project.folder), pool=POOL))
        script.chmod(script.stat().st_mode | stat.S_IEXEC)
        self.leases = LeaseFile(project.folder / "state.json")
        self.leases.path.write_text(dump(Book((LEASE,))))
        self.has()

    def has(self, pool: str = "running", down: bool = False, **vms: str) -> None:
        world = {"vms": {UUID[name.replace("_", "-")]: each for name, each in vms.items()}, "pool": pool, "down": down}
        (self.project.folder / "libvirt.json").write_text(json.dumps(world))

    @property
    def acted(self) -> list[str]:
        path = self.project.folder / "acted"
        return path.read_text().splitlines() if path.exists() else []

    def state(self, *more: dict[str, Any], disks: tuple[str, ...] = ("control-1", "gpu-1"), **operations: Any) -> None:
        """Write the engine's state: disks, and what else there is."""
        resources = [
            {"urn": STACK, "type": "pulumi:pulumi:Stack"},
            {"urn": PROVIDER, "type": "pulumi:providers:kubernetes", "custom": True, "id": "p1"},
            *({"urn": f"urn::{name}-root", "type": "libvirt:index/volume:Volume", "inputs": {}} for name in disks),
            *more,
        ]
        self.project.state({"version": 3, "deployment": {"resources": resources, **operations}})

    def history(self, *results: str) -> None:
        runs = [{"kind": kind, "result": result} for kind, _, result in (each.partition(" ") for each in results)]
        (self.project.backend / "history.json").write_text(json.dumps(runs))


@pytest.fixture
def host(project: Project) -> Host:
    return Host(project)


def domain(name: str) -> dict[str, Any]:
    return {"urn": f"urn::{name}", "type": "libvirt:index/domain:Domain", "id": UUID[name], "inputs": {}}


def test_where_nothing_was_left_nothing_is_said(host: Host, project: Project, cloudctl: Run) -> None:
    host.state(domain("control-1"), domain("gpu-1"))
    host.has(control_1="running", gpu_1="shut off")
    host.history("update succeeded", "update failed")
    done = cloudctl(*UP)
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "pulumi up --stack prod --policy-pack policies --yes\n"
    assert project.runs() == [["up", "--stack", "prod", "--policy-pack", "policies", "--yes"]]
    assert host.acted == []
    assert host.leases.all() == (LEASE,)


def test_a_pool_that_was_never_started_and_a_vm_that_could_not_start(
    host: Host, project: Project, cloudctl: Run
) -> None:
    host.state(domain("control-1"))
    host.has(pool="inactive", control_1="shut off", gpu_1="shut off")
    done = cloudctl(*UP)
    assert done.exit_code == 0
    assert done.stderr.splitlines()[0] == (
        "an earlier run was cut off or failed; taken up: pool inference-cloud at qemu:///system was defined and never"
        " started: started; gpu-1 at qemu:///system was defined and could not start: undefined"
    )
    assert host.acted == [
        "pool-build inference-cloud",
        "pool-start inference-cloud",
        "pool-autostart inference-cloud",
        f"undefine {UUID['gpu-1']} --nvram",
    ]
    assert host.leases.all() == ()
    assert [run[0] for run in project.runs()] == ["up"]


def test_a_pool_that_does_not_start_keeps_nothing_else_from_being_taken_up(
    host: Host, project: Project, cloudctl: Run
) -> None:
    half = {**domain("control-1"), "urn": "urn:a::b::c::pool", "custom": True, "initErrors": ["invalid argument"]}
    host.state(half)
    host.has(pool="stubborn inactive", gpu_1="shut off")
    done = cloudctl(*UP)
    assert done.exit_code == 0
    assert (
        "taken up: gpu-1 at qemu:///system was defined and could not start: undefined; looked up: pool\n" in done.stderr
    )
    assert [run[0] for run in project.runs()] == ["-C", "refresh", "up"]


@pytest.mark.parametrize("state", ["running", "paused", "crashed"])
def test_a_vm_that_is_not_off_is_left_alone(host: Host, cloudctl: Run, state: str) -> None:
    host.state()
    host.has(gpu_1=state)
    assert cloudctl(*UP).exit_code == 0
    assert host.acted == []


def test_with_another_state_than_the_stacks_own_no_vm_is_touched(host: Host, cloudctl: Run) -> None:
    """A backend that was lost: the VMs are off because somebody stopped them."""
    host.state(disks=())
    host.has(control_1="shut off", gpu_1="shut off")
    assert cloudctl(*UP).exit_code == 0
    assert host.acted == []


def test_one_that_was_being_made_when_the_engine_was_killed_is_looked_up_instead(
    host: Host, project: Project, cloudctl: Run
) -> None:
    inputs = {"name": "gpu-1", "xml": {"xslt": f"<uuid>{UUID['gpu-1']}</uuid>"}}
    under_way = {**domain("gpu-1"), "custom": True, "inputs": inputs}
    host.state(pending_operations=[{"type": "creating", "resource": {**under_way, "urn": "urn:a::b::c::gpu-1"}}])
    host.has(gpu_1="shut off")
    done = cloudctl(*UP)
    assert host.acted == []
    assert "taken up: looked up: gpu-1\n" in done.stderr
    assert [run[0] for run in project.runs()] == ["-C", "refresh", "up"]


@pytest.mark.parametrize(
    ("history", "strays"),
    [
        ((), False),
        (("update succeeded",), False),
        (("update failed",), True),
        (("refresh succeeded", "update failed"), True),
        (("update succeeded", "update failed"), False),
        (("destroy failed", "update succeeded"), True),
    ],
)
def test_what_the_engine_forgot_is_looked_for_after_a_failure_only(
    host: Host, project: Project, cloudctl: Run, history: tuple[str, ...], strays: bool
) -> None:
    host.state()
    host.history(*history)
    step = {"op": "create", "urn": NAMESPACE, "newState": _namespace()}
    (project.backend / "preview.json").write_text(json.dumps({"steps": [step]}))
    done = cloudctl(*UP)
    assert done.exit_code == 0
    assert ("taken up: looked up: mlflow" in done.stderr) is strays
    assert [run[0] for run in project.runs()] == (["preview", "-C", "refresh", "up"] if strays else ["up"])


def test_a_preview_that_is_refused_leaves_the_word_to_the_update(host: Host, project: Project, cloudctl: Run) -> None:
    host.state()
    host.history("update failed")
    done = cloudctl(*UP)
    assert done.exit_code == 0
    assert "preview" not in done.stderr
    assert [run[0] for run in project.runs()] == ["preview", "up"]


def test_a_host_that_does_not_answer_leaves_the_word_to_the_update(host: Host, project: Project, cloudctl: Run) -> None:
    host.state()
    host.has(down=True)
    assert cloudctl(*UP).exit_code == 0
    assert [run[0] for run in project.runs()] == ["up"]


@pytest.mark.parametrize("words", [UP, ("recover", "--stack", "prod", "--dry-run")])
def test_a_vm_that_libvirt_takes_for_starting_for_ever_is_refused_with_the_way_out(
    host: Host, project: Project, cloudctl: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr("cloudctl.stuck.PATIENCE_S", 0)
    host.state(domain("control-1"))
    host.has(control_1="paused (starting up)", gpu_1="paused (user)", pool="inactive")
    done = cloudctl(*words)
    assert done.exit_code == 1
    assert "refused: control-1 at qemu:///system is being started, says libvirt" in done.stderr
    assert "sudo rm /run/libvirt/qemu/control-1.xml && sudo systemctl restart libvirtd" in done.stderr
    assert "gpu-1" not in done.stderr
    assert (host.acted, project.runs()) == ([], [])


def test_a_dry_run_takes_nothing_up(host: Host, project: Project, cloudctl: Run) -> None:
    host.state()
    host.has(pool="inactive", gpu_1="shut off")
    assert cloudctl("up", "--stack", "prod", "--dry-run").exit_code == 0
    assert host.acted == []
    assert project.runs() == [["preview", "--stack", "prod", "--policy-pack", "policies"]]


def test_an_update_that_fails_gives_the_gpu_of_a_vm_back_that_could_not_start(
    host: Host, project: Project, cloudctl: Run
) -> None:
    """The stand-in for the engine defines it while it runs, and fails."""
    host.state(domain("control-1"))
    fake = project.folder.parent / "bin" / "pulumi"
    defines = json.dumps({"vms": {UUID["gpu-1"]: "shut off"}, "pool": "running"})
    library = f"open({str(project.folder / 'libvirt.json')!r}, 'w').write({defines!r})"
    fake.write_text(
        fake.read_text().replace(
            'elif words[0] in ("up"', f'elif words[0] == "up" and {library} and 0:\n    pass\nelif words[0] in ("up"'
        )
    )
    (project.backend / "status").write_text("255")
    done = cloudctl(*UP)
    assert done.exit_code == 1
    assert "gpu-1 at qemu:///system was defined and could not start; it is undefined again" in done.stderr
    assert host.acted == [f"undefine {UUID['gpu-1']} --nvram"]
    assert host.leases.all() == ()


def test_a_lease_of_an_update_at_work_stays(host: Host, cloudctl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    by_hand = replace(LEASE, gpu="0000:61:00.0", update=None)
    host.leases.path.write_text(dump(Book((LEASE, by_hand))))
    monkeypatch.setattr("cloudctl.unstarted.state_of", lambda _: "running")
    host.state()
    host.has(gpu_1="shut off")
    cloudctl(*UP)
    assert host.leases.all() == (LEASE, by_hand)


def test_recover_asks_before_it_undefines(host: Host, cloudctl: Run) -> None:
    host.state()
    host.has(gpu_1="shut off")
    for words in (("--dry-run",), ()):
        done = cloudctl("recover", "--stack", "prod", *words, input="n\n")
        assert "gpu-1 at qemu:///system was defined and could not start" in done.stderr
        assert host.acted == []
    done = cloudctl("recover", "--stack", "prod", "--yes")
    assert "undefined; their GPUs are free" in done.stderr
    assert host.acted == [f"undefine {UUID['gpu-1']} --nvram"]
