"""Losing things of a rehearsal: what goes, what stays, and that nothing is lost that is not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cluster.problems import InputError
from lab.lose import Kind, lose
from lab.plugins.errors import PluginError
from lab.plugins.kubernetes_cluster import down
from lab.plugins.libvirt_host import Host
from lab.plugins.store import Store
from lab.virsh import run as virsh
from lab.workspace import ROOT, Workspace

POOL = "/pool"


def domain(name: str) -> dict[str, Any]:
    return {
        "name": name, "owner": "cloud/prod", "role": None, "image": None, "shape": None, "vcpu": 1, "memory": 1024,
        "hostdevs": [], "autostart": True, "running": True, "disks": [f"{POOL}/{name}-root.qcow2"], "interfaces": [],
    }  # fmt: skip


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A stack of two control planes of three, the third being gone, and a worker."""
    made = Workspace("prod", tmp_path / "lab")
    (made.dir / "hosts").mkdir(parents=True)
    (made.dir / "hosts" / "ws.yaml").write_text((ROOT / "lab/hosts/workstation.yaml").read_text())
    (made.dir / "lab.yaml").write_text("hosts: {'qemu:///system': ws}\n")
    names = ("control-1", "control-2", "worker-1")
    store = Store(made.dir)
    with store.changing("libvirt-ws") as table:
        table["domains"] = {f"id-{name}": domain(name) for name in names}
        table["volumes"] = {
            f"{POOL}/{name}-root.qcow2": {"name": f"{name}-root.qcow2", "pool": "p", "on": "/", "size": 1}
            for name in names
        }
    with store.changing("kubernetes-abc") as table:
        table["objects"] = {"a": 1}
    members = [("control-plane", "control-1"), ("control-plane", "control-2"), ("control-plane", "control-3")]
    resources = [
        {"type": "cloud:kubernetes:Machine", "inputs": {"name": name, "role": role}, "outputs": {}}
        for role, name in [*members, ("worker", "worker-1")]
    ]
    made.state_file.parent.mkdir(parents=True)
    made.state_file.write_text(json.dumps({"checkpoint": {"latest": {"resources": resources}}}))
    monkeypatch.setenv("LAB_DIR", str(made.dir))
    return made


def names(place: Workspace, kind: str) -> set[str]:
    return {each["name"] for each in Host(Store(place.dir), "ws").now().records(kind).values()}


def test_a_definition_goes_and_its_disk_stays(place: Workspace) -> None:
    lose(place, "domain", "worker-1")
    assert "worker-1" not in names(place, "domains")
    assert "worker-1-root.qcow2" in names(place, "volumes")
    assert "worker-1" not in virsh(["list", "--all"])
    assert down(Store(place.dir)) is None


def test_a_vm_without_its_disk_is_off_and_does_not_start(place: Workspace) -> None:
    lose(place, "disk", "worker-1")
    assert virsh(["domstate", "worker-1"]) == "shut off"
    with pytest.raises(PluginError, match="Cannot access storage file '/pool/worker-1-root"):
        virsh(["-c", "qemu:///system", "start", "worker-1"])
    assert virsh(["undefine", "worker-1"]) == "Domain 'worker-1' has been undefined"
    with pytest.raises(PluginError, match="failed to get domain"):
        virsh(["domstate", "worker-1"])
    with pytest.raises(InputError, match="worker-1' is not defined; there are: control-1, control-2"):
        lose(place, "disk", "worker-1")


def test_a_cluster_falls_silent_with_its_quorum_and_is_gone_with_its_last_disk(place: Workspace) -> None:
    lose(place, "domain", "control-2")
    assert down(Store(place.dir)) == "its control planes do not run"
    assert Store(place.dir).read("kubernetes-abc")["objects"]
    lose(place, "vm", "control-1")
    assert Store(place.dir).read("kubernetes-abc")["objects"]  # control-2's disk has it still
    with Host(Store(place.dir), "ws").changing() as state:
        del state.records("volumes")[f"{POOL}/control-2-root.qcow2"]
    lose(place, "disk", "worker-1")
    assert Store(place.dir).read("kubernetes-abc") == {}


def test_a_host_a_state_and_the_leases(place: Workspace) -> None:
    (place.dir / "state.json").write_text("{}")
    lose(place, "leases", "")
    assert not (place.dir / "state.json").exists()
    lose(place, "host", "ws")
    assert names(place, "domains") == names(place, "volumes") == set()
    lose(place, "state", "")
    assert not place.state_file.exists()


@pytest.mark.parametrize(
    ("kind", "name", "why"),
    [
        ("domain", "worker-9", "is not defined; there are: control-1, control-2, worker-1"),
        ("host", "elsewhere", "is not a host of the stack; there are: ws"),
        ("leases", "", "is not there; an up writes it"),
    ],
)
def test_what_is_not_there_is_not_lost(place: Workspace, kind: Kind, name: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        lose(place, kind, name)


def test_a_stack_that_is_not_rehearsed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not rehearsed; first: make lab STACK=prod"):
        lose(Workspace("prod", tmp_path), "state", "")


@pytest.mark.parametrize("words", [[], ["migrate", "x"], ["-c", "qemu+ssh://elsewhere/system", "list"]])
def test_virsh_refuses_what_it_does_not_know(place: Workspace, words: list[str]) -> None:
    with pytest.raises(PluginError):
        virsh(words)
