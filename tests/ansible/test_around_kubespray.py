"""The plays around Kubespray's: what they write onto nodes, and how they make up for what it leaves undone."""

from __future__ import annotations

from typing import Any

from tests.ansible.conftest import Worlds
from tests.ansible.kubespray_nodes import MASTER, lay, place
from tests.ansible.world import World

BEGIN, END = "upgrade_begin.yml", "upgrade_end.yml"
UPGRADING, DRAINED = "inference-cloud/upgrading", "inference-cloud/drained"


def of(made: World, name: str) -> dict[str, Any]:
    node: dict[str, Any] = made.cluster()["nodes"][name]
    return node


def test_an_upgrade_that_was_cut_off_is_known_for_one_and_brought_to_its_end(world: Worlds) -> None:
    made = world(workers=2)
    lay(made, "1.33.7")
    nodes = made.cluster()["nodes"]
    nodes["worker-2"]["spec"]["unschedulable"] = True  # by somebody else
    made.change(nodes=nodes)
    names = ["worker-1", "worker-2"]
    assert made.play(BEGIN, upgraded=names).changed == {"cp-1": 1}
    assert [set(of(made, name)["metadata"]["annotations"]) for name in names] == [{UPGRADING, DRAINED}, {UPGRADING}]
    assert made.play(BEGIN, upgraded=names).changed == {}

    # What Kubespray leaves when it is killed: cordoned, the kubelet in place, its handler lost.
    nodes = made.cluster()["nodes"]
    nodes["worker-1"]["spec"]["unschedulable"] = True
    made.change(nodes=nodes, version="1.34.3", pods=[{"name": "web", "node": "worker-1"}])
    place(made, "worker-1", "kubelet", "1.34.3")
    told = made.play("installed.yml").told
    assert told["worker-1"]["installed"]["kubernetes"] == "1.34.3"
    assert told["cp-1"]["installed"] == {
        "kubernetes": "1.33.7",
        "api": "1.33.7",
        "runtime": "",
        "provisioner": "kubespray",
    }
    seen = {each["name"]: (each["version"], each["upgrading"]) for each in told["cp-1"]["nodes"]}
    assert seen == {"cp-1": ("1.33.7", False), "worker-1": ("1.33.7", True), "worker-2": ("1.33.7", True)}

    ran = made.play(END, upgraded=names)
    assert ran.status == 0, ran.output[-3000:]
    assert made.cluster()["violations"] == []
    assert of(made, "worker-1")["status"]["nodeInfo"]["kubeletVersion"] == "v1.34.3"
    assert [set(of(made, name)["metadata"]["annotations"]) for name in names] == [set(), set()]
    assert [of(made, name)["spec"].get("unschedulable", False) for name in names] == [False, True]
    assert made.calls("systemctl", "restart") == [["worker-1", "restart", "kubelet"]]
    assert made.play(END, upgraded=names).changed == {}


def test_a_control_plane_of_kubespray_is_kept_free_while_there_are_workers(world: Worlds) -> None:
    """Kubespray sets that taint at the node's first start, and takes it away only."""
    made = world(workers=1)
    lay(made)
    assert made.play("label_nodes.yml", "kube_control_plane").changed == {"cp-1": 1}
    assert of(made, "cp-1")["spec"]["taints"] == [{"key": MASTER, "effect": "NoSchedule"}]
    made.become(workers=0)
    assert made.play("label_nodes.yml", "kube_control_plane").changed == {"cp-1": 1}
    assert of(made, "cp-1")["spec"]["taints"] == []


def test_a_first_control_plane_that_is_off_is_asked_nothing(world: Worlds) -> None:
    made = world(control_planes=3, workers=0)
    lay(made)
    made.silent = {"cp-1"}
    ran = made.play("check.yml", check_etcd="", check_servers={"": ""})
    assert ran.status == 0, ran.output[-3000:]
    assert {each["name"] for each in ran.told["cp-1"]["cluster"]["nodes"]} == {"cp-1", "cp-2", "cp-3"}
    assert ran.told["cp-1"]["cluster"]["servers"] == {"": {"version": "v1.34.3"}}
    told = made.play("installed.yml").told
    assert {each["name"] for each in told["cp-1"]["nodes"]} == {"cp-1", "cp-2", "cp-3"}
    assert {name for name in told if "installed" in told[name]} == {"cp-2", "cp-3"}
