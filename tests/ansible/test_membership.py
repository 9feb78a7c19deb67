"""What is installed, marks, removal and the kubeconfig: the playbooks that serve every provisioner."""

from __future__ import annotations

import pytest

from tests.ansible.conftest import Worlds
from tests.ansible.kubespray_nodes import lay
from tests.ansible.test_kubeadm import install
from tests.ansible.world import World, executable, put

INSTALLED, MARK, REMOVE = "installed.yml", "mark_nodes.yml", "remove_nodes.yml"


def test_where_nothing_is_installed_nothing_is_told_and_nothing_changed(world: Worlds) -> None:
    made = world(workers=1)
    ran = made.play(INSTALLED)
    nothing = {"kubernetes": "", "api": "", "runtime": "", "provisioner": ""}
    assert (ran.status, ran.changed) == (0, {})
    assert ran.told == {"cp-1": {"installed": nothing, "nodes": [], "endpoint": ""}, "worker-1": {"installed": nothing}}


@pytest.mark.slow
def test_marks_are_written_once_and_told(world: Worlds) -> None:
    made = world(workers=1)
    install(made)
    marks = {"worker-1": "0123abcd"}
    assert made.play(MARK, marks=marks).changed == {"cp-1": 1}
    assert made.play(MARK, marks=marks).changed == {}
    told = {node["name"]: node["made"] for node in made.play(INSTALLED).told["cp-1"]["nodes"]}
    assert told == {"cp-1": "", "worker-1": "0123abcd"}


def kubespray(made: World) -> None:
    """Make what kubeadm made look like Kubespray's: kubelet.env on every node, etcd beside Kubernetes."""
    for name in made.names:
        made.file(name, "/etc/kubernetes/kubelet.env").write_text("KUBELET_ARGS=\n")
        made.file(name, "/var/lib/inference-cloud/control-plane").unlink(missing_ok=True)
    made.file("cp-1", "/etc/kubernetes/manifests/etcd.yaml").unlink()


@pytest.mark.slow
@pytest.mark.parametrize("provisioner", ["kubeadm", "kubespray", "k3s"])
def test_a_node_is_drained_and_stopped_before_it_is_deleted(world: Worlds, provisioner: str) -> None:
    made = world(workers=2, provisioner="k3s" if provisioner == "k3s" else "kubeadm")
    install(made, *(["k3s.yml"] if provisioner == "k3s" else []))
    if provisioner == "kubespray":
        kubespray(made)
    told = made.play(INSTALLED).told
    assert {told[name]["installed"]["provisioner"] for name in made.names} == {provisioner}
    made.change(pods=[{"name": "web", "node": "worker-1"}], calls=[])
    ran = made.play(REMOVE, removed=["worker-1", "never-there"], drain_timeout=30)
    assert ran.status == 0, ran.output[-3000:]
    cluster = made.cluster()
    assert cluster["violations"] == []
    assert set(cluster["nodes"]) == {"cp-1", "worker-2"}
    unit = "k3s-agent" if provisioner == "k3s" else "kubelet"
    calls = [call[:4] for call in cluster["calls"]]
    order = [
        ["cp-1", "kubectl", "drain", "worker-1"],
        ["worker-1", "systemctl", "stop", unit],
        ["cp-1", "kubectl", "delete", "node"],
    ]
    assert [calls.index(call) for call in order] == sorted(calls.index(call) for call in order)
    assert made.play(REMOVE, removed=["worker-1"]).changed == {}


@pytest.mark.slow
def test_a_node_whose_vm_is_gone_from_the_inventory_is_removed_and_may_come_back(world: Worlds) -> None:
    made = world(workers=2)
    install(made)
    made.become(workers=1)
    assert made.play(REMOVE, removed=["worker-2"]).status == 0
    assert set(made.cluster()["nodes"]) == {"cp-1", "worker-1"}
    made.become(workers=2)
    install(made)
    assert set(made.cluster()["nodes"]) == {"cp-1", "worker-1", "worker-2"}


@pytest.mark.slow
def test_vms_that_do_not_answer_are_passed_over(world: Worlds) -> None:
    made = world(control_planes=2, workers=1)
    install(made)
    made.silent = {"cp-1", "worker-1"}
    told = made.play(INSTALLED).told
    assert {node["name"] for node in told["cp-1"]["nodes"]} == {"cp-1", "cp-2", "worker-1"}
    assert [name for name in told if "installed" in told[name]] == ["cp-2"]
    ran = made.play(REMOVE, removed=["worker-1"])
    assert ran.status == 0, ran.output[-3000:]
    assert set(made.cluster()["nodes"]) == {"cp-1", "cp-2"}
    assert made.cluster()["violations"] == []


@pytest.mark.slow
def test_pods_that_do_not_go_keep_their_node_cordoned_and_are_named(world: Worlds) -> None:
    made = world(workers=2)
    install(made)
    held = {"name": "database-1", "node": "worker-1", "budget": True}
    made.change(pods=[held, {"name": "logs", "node": "worker-1", "daemon": True}])
    ran = made.play(REMOVE, removed=["worker-1"], drain_timeout=30)
    assert ran.status != 0
    assert "worker-1 could not be drained within 30 s. Still there: default/database-1. It stays cordoned" in ran.output
    assert "kubectl uncordon worker-1" in ran.output
    assert made.cluster()["nodes"]["worker-1"]["spec"]["unschedulable"]


@pytest.mark.slow
def test_a_control_plane_leaves_etcd_too_but_not_the_one_that_is_asked(world: Worlds) -> None:
    made = world(control_planes=3, workers=0)
    install(made, "kubeadm_nodes.yml", "kubeadm_control_plane.yml")
    assert made.play(REMOVE, removed=["cp-3"]).status == 0
    assert made.cluster()["etcd"] == ["cp-1", "cp-2"]
    ran = made.play(REMOVE, removed=["cp-1"])
    assert ran.status != 0
    assert "cp-1 is the control plane that the others are asked by" in ran.output


@pytest.mark.slow
@pytest.mark.parametrize("provisioner", ["kubeadm", "k3s"])
def test_the_kubeconfig_names_an_address_that_is_reached_and_is_private(world: Worlds, provisioner: str) -> None:
    made = world(workers=0, provisioner=provisioner)
    file = made.folder / "kubeconfig"
    early = made.play("kubeconfig.yml", kubeconfig_file=str(file))
    assert "No control plane has an administrator's kubeconfig" in early.output
    install(made, *(["k3s.yml"] if provisioner == "k3s" else ["kubeadm_nodes.yml", "kubeadm_control_plane.yml"]))
    assert made.play("kubeconfig.yml", kubeconfig_file=str(file)).status == 0
    assert file.read_text() == "server: https://192.168.200.11:6443\n"
    assert file.stat().st_mode & 0o077 == 0


def test_kubelet_of_kubespray_is_told_with_its_version(world: Worlds) -> None:
    made = world(workers=0)
    for path in ("/etc/kubernetes/kubelet.conf", "/etc/kubernetes/kubelet.env"):
        made.file("cp-1", path).parent.mkdir(exist_ok=True)
        made.file("cp-1", path).touch()
    executable(made.file("cp-1", "/usr/local/bin/kubelet"), made.script("kubelet", "1.33.5"))
    told = made.play(INSTALLED).told["cp-1"]["installed"]
    assert told == {"kubernetes": "1.33.5", "api": "", "runtime": "", "provisioner": "kubespray"}


def test_what_a_provisioner_left_early_on_is_told_as_its(world: Worlds) -> None:
    """Kubespray has its etcd run long before a kubelet has joined."""
    made = world(control_planes=3, workers=1)
    left = {
        "cp-1": "/etc/systemd/system/etcd.service",
        "cp-2": "/etc/etcd.env",
        "cp-3": "/etc/systemd/system/k3s.service",
        "worker-1": "/var/lib/inference-cloud/placed.json",
    }
    for name, path in left.items():
        put(made.file(name, path), b"")
    told = {name: values["installed"] for name, values in made.play(INSTALLED).told.items()}
    assert {name: each["provisioner"] for name, each in told.items()} == {
        "cp-1": "kubespray",
        "cp-2": "kubespray",
        "cp-3": "k3s",
        "worker-1": "kubeadm",
    }
    assert {each["kubernetes"] for each in told.values()} == {""}


def test_nodes_of_kubespray_leave_etcd_and_the_api_and_stop(world: Worlds) -> None:
    """One whose VM was made anew, one that left the settings, and a worker that does not answer any more."""
    made = world(control_planes=3, workers=2)
    lay(made)
    made.become(control_planes=2, workers=1)
    made.make(["cp-1"])
    nodes = made.cluster()["nodes"]
    for name in ("cp-1", "worker-2"):
        nodes[name]["status"]["conditions"] = [{"type": "Ready", "status": "Unknown"}]
    pods = [{"name": "web", "node": "worker-2"}, {"name": "dead", "node": "cp-1", "dead": True}]
    made.change(nodes=nodes, dead=["cp-1"], pods=pods)
    left = {"cp-3": {"ip": "192.168.200.13", **made.reach("cp-3")}}
    ran = made.play(REMOVE, gone=["cp-1"], removed=["cp-3", "worker-2"], left=left, drain_timeout=30)
    assert ran.status == 0, ran.output[-3000:]
    cluster = made.cluster()
    assert (cluster["etcd"], cluster["dead"], cluster["violations"]) == (["cp-2"], [], [])
    assert set(cluster["nodes"]) == {"cp-2", "worker-1"}
    calls = [call[:4] for call in cluster["calls"]]
    order = [
        ["cp-2", "etcdctl", "member", "remove"],
        ["cp-2", "kubectl", "drain", "cp-3"],
        ["cp-3", "systemctl", "stop", "kubelet"],
        ["cp-3", "systemctl", "stop", "etcd"],
    ]
    assert [calls.index(call) for call in order] == sorted(calls.index(call) for call in order)
    removals = [index for index, call in enumerate(calls) if call[1:] == ["etcdctl", "member", "remove"]]
    assert len(removals) == 2
    assert removals[1] < calls.index(order[3]), "etcd gives a member up while it still runs"
    assert ["cp-2", "kubectl", "drain", "cp-1"] not in calls
    again = made.play(REMOVE, removed=["cp-3", "worker-2"], left=left, drain_timeout=30)
    assert (again.status, again.changed) == (0, {})
