"""The playbooks around kubeadm, really run: on nodes with roots of their own, with stand-ins for Kubernetes' tools."""

from __future__ import annotations

import pytest
import yaml

from tests.ansible.conftest import Worlds
from tests.ansible.world import Ran, World

NODES, CONTROL_PLANE, WORKERS = "kubeadm_nodes.yml", "kubeadm_control_plane.yml", "kubeadm_workers.yml"
TAINT = "node-role.kubernetes.io/control-plane"


def install(world: World, *playbooks: str) -> list[Ran]:
    """Run playbooks to their end; all of an installation unless named."""
    ran = []
    for playbook in playbooks or (NODES, CONTROL_PLANE, WORKERS):
        ran.append(world.play(playbook))
        assert ran[-1].status == 0, ran[-1].output[-3000:]
    return ran


def sound(world: World) -> None:
    """See that every machine is a node, each control plane in etcd, and that nothing was done that must not be."""
    cluster = world.cluster()
    assert cluster["violations"] == []
    assert set(cluster["nodes"]) == set(world.names)
    assert set(cluster["etcd"]) == {name for name in world.names if name.startswith("cp-")}
    assert not cluster["tokens"], "every token is taken back"
    for name, node in cluster["nodes"].items():
        role = "control-plane" if name.startswith("cp-") else "worker"
        assert node["metadata"]["labels"]["inference-cloud/role"] == role
        assert not node["spec"].get("unschedulable")
        assert not world.file(name, "/run/kubeadm-join.yaml").exists()
        assert node["status"]["nodeInfo"]["kubeletVersion"] == f"v{world.settings.kubernetes.version}"


@pytest.mark.slow
def test_a_first_run_installs_in_order_and_a_second_changes_nothing(world: Worlds) -> None:
    made = world(workers=1)
    ran = install(made)
    sound(made)
    assert made.calls("kubeadm") == [
        ["cp-1", "init", "--config"],
        ["cp-1", "token", "create"],
        ["worker-1", "join", "--config"],
        ["cp-1", "token", "delete"],
    ]
    assert made.cluster()["nodes"]["cp-1"]["spec"]["taints"] == [{"key": TAINT, "effect": "NoSchedule"}]
    applied = made.cluster()["applied"]
    assert set(applied) == {"calico", "local-path", "metrics-server"}
    assert f'value: "{made.settings.network.pods}"' in applied["calico"]
    assert f'veth_mtu: "{made.settings.network.mtu - 50}"' in applied["calico"]
    assert not [name for name, text in applied.items() if "{{" in text]
    for name in ("local-path", "metrics-server"):
        assert all(isinstance(each, dict) and each["kind"] for each in yaml.safe_load_all(applied[name]))
    assert [again.changed for again in install(made)] == [{}, {}, {}]
    told = made.play("installed.yml").told
    assert told["worker-1"] == {
        "installed": {"kubernetes": "1.34.3", "api": "", "runtime": "containerd 2.2.1", "provisioner": "kubeadm"}
    }
    assert told["cp-1"]["installed"]["api"] == "1.34.3"
    assert told["cp-1"]["endpoint"] == "192.168.200.11:6443"
    shown = {"ready": True, "version": "1.34.3", "unschedulable": False, "made": "", "upgrading": False}
    assert told["cp-1"]["nodes"] == [
        {"name": "cp-1", "role": "control-plane", **shown},
        {"name": "worker-1", "role": "worker", **shown},
    ]
    assert "--token" not in "".join(each.output for each in ran)


@pytest.mark.slow
def test_a_wrong_checksum_is_refused_and_nothing_is_put_into_place(world: Worlds) -> None:
    made = world(workers=0)
    (path,) = made.folder.glob("web/**/runc.amd64")
    path.write_text("somebody else's\n")
    ran = made.play(NODES)
    assert ran.status != 0
    assert "did not match" in ran.output
    assert not made.file("cp-1", "/usr/local/bin/runc").exists()
    made.publish()
    install(made, NODES)
    assert made.file("cp-1", "/usr/local/bin/runc").exists()


def killed(made: World, playbook: str, after: int) -> None:
    """Kill a play after a number of results; on a busy machine it may have come to its end by then."""
    ran = made.play(playbook, kill_after=after)
    assert ran.status in (0, 137), ran.output[-2000:]


@pytest.mark.slow
def test_killed_here_and_there_an_installation_comes_to_the_same_end(world: Worlds) -> None:
    made = world(workers=0)
    killed(made, NODES, 25)
    install(made, NODES)
    killed(made, CONTROL_PLANE, 11)
    killed(made, CONTROL_PLANE, 20)
    install(made, NODES, CONTROL_PLANE)
    sound(made)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("playbook", "before"), [(NODES, ()), (CONTROL_PLANE, (NODES,)), (WORKERS, (NODES, CONTROL_PLANE))]
)
def test_killed_again_and_again_a_play_gets_to_its_end(world: Worlds, playbook: str, before: tuple[str, ...]) -> None:
    """Each kill comes one result later than the one before: it falls after, and in, every task that there is."""
    made = world(workers=1)
    if before:
        install(made, *before)
    step = 5 if playbook == NODES else 1
    for after in range(1, 1000, step):
        ran = made.play(playbook, kill_after=after)
        if ran.status == 0:
            break
        assert ran.status == 137, ran.output[-3000:]
    assert ran.status == 0
    install(made)
    sound(made)
    assert [again.changed for again in install(made)] == [{}, {}, {}]


@pytest.mark.slow
def test_three_control_planes_join_one_after_the_other_behind_one_address(world: Worlds) -> None:
    made = world(control_planes=3, workers=1, mirror="mirror.lan:5000/all")
    ran = install(made)
    sound(made)
    assert [call[:2] for call in made.calls("kubeadm") if call[1] in ("init", "join")] == [
        ["cp-1", "init"],
        ["cp-1", "init"],  # the phase that uploads certificates, for cp-2
        ["cp-2", "join"],
        ["cp-1", "init"],
        ["cp-3", "join"],
        ["worker-1", "join"],
    ]
    for name in ("cp-1", "cp-2", "cp-3"):
        pod = made.file(name, "/etc/kubernetes/manifests/kube-vip.yaml").read_text()
        assert 'value: "192.168.200.5"' in pod
        assert "path: /etc/kubernetes/admin.conf" in pod
    assert not made.file("worker-1", "/etc/kubernetes/manifests").exists()
    config = made.file("cp-1", "/var/lib/inference-cloud/kubeadm.yaml").read_text()
    assert 'controlPlaneEndpoint: "192.168.200.5:6443"' in config
    hosts = made.file("worker-1", "/etc/containerd/certs.d/docker.io/hosts.toml").read_text()
    assert '[host."https://mirror.lan:5000/v2/all"]' in hosts
    assert "override_path = true" in hosts
    assert made.cluster()["key"] not in "".join(each.output for each in ran)
    assert [again.changed for again in install(made)] == [{}, {}, {}]


@pytest.mark.slow
def test_a_worker_that_is_added_is_the_only_one_touched(world: Worlds) -> None:
    made = world(workers=1)
    install(made)
    made.become(workers=2)
    made.make(["worker-2"])
    made.forget_calls()
    assert made.play(NODES, "worker-2").changed.keys() == {"worker-2"}
    assert made.play(WORKERS, "kube_control_plane[0]:worker-2").changed.keys() == {"worker-2"}
    sound(made)
    assert made.calls("kubeadm") == [
        ["cp-1", "token", "create"],
        ["worker-2", "join", "--config"],
        ["cp-1", "token", "delete"],
    ]
    assert {call[0] for call in made.calls("systemctl")} == {"worker-2"}
    assert not made.calls("kubectl", "drain")


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["init", "join", "join-etcd"])
def test_what_kubeadm_left_half_made_is_reset_on_that_node_only(world: Worlds, fault: str) -> None:
    made = world(control_planes=1 if fault == "init" else 3, workers=0)
    install(made, NODES)
    made.fault(fault)
    ran = made.play(CONTROL_PLANE)
    assert ran.status != 0
    assert "kubeadm" in ran.output
    install(made, CONTROL_PLANE)
    sound(made)
    assert made.calls("kubeadm", "reset") == [["cp-1" if fault == "init" else "cp-2", "reset", "--force"]]


@pytest.mark.slow
def test_an_ill_cluster_is_left_as_it_is(world: Worlds) -> None:
    made = world(workers=0)
    install(made, NODES, CONTROL_PLANE)
    (made.shared / "api-down").touch()
    ran = made.play(CONTROL_PLANE)
    assert ran.status != 0
    assert "cp-1 holds a cluster whose API does not answer; it is left as it is" in ran.output
    assert not made.calls("kubeadm", "reset")
    assert made.play("installed.yml").told["cp-1"]["nodes"] == []
    (made.shared / "api-down").unlink()
    assert install(made, CONTROL_PLANE)[0].changed == {}


@pytest.mark.slow
def test_vms_made_anew_join_and_the_first_control_plane_begins_no_second_cluster(world: Worlds) -> None:
    made = world(control_planes=3, workers=1)
    install(made)
    made.make(["cp-1", "worker-1"])
    made.forget_calls()
    install(made)
    sound(made)
    assert [call[0] for call in made.calls("kubeadm", "join")] == ["cp-1", "worker-1"]
    assert [call[2] for call in made.calls("kubeadm", "init")] == ["phase"], "only to upload certificates"
    install(made)  # the first one is asked again, and has the manifests written that the others have
    assert [again.changed for again in install(made)] == [{}, {}, {}]


@pytest.mark.slow
def test_without_workers_pods_run_on_control_planes_until_a_worker_comes(world: Worlds) -> None:
    made = world(workers=0)
    install(made, NODES, CONTROL_PLANE)
    assert made.cluster()["nodes"]["cp-1"]["spec"]["taints"] == []
    made.become(workers=1)
    made.make(["worker-1"])
    install(made)
    assert [taint["key"] for taint in made.cluster()["nodes"]["cp-1"]["spec"]["taints"]] == [TAINT]


# ---- upgrades --------------------------------------------------------------------------------------------------------

UPGRADE = "kubeadm_upgrade.yml"
PODS = [{"name": "web", "node": "worker-1"}, {"name": "logs", "node": "worker-1", "daemon": True}]


@pytest.mark.slow
def test_an_upgrade_goes_node_by_node_each_drained_meanwhile(world: Worlds) -> None:
    made = world(control_planes=2, workers=2, version="1.33.7")
    install(made)
    made.change(pods=PODS, calls=[])
    made.become(control_planes=2, workers=2, version="1.34.3")
    assert install(made, UPGRADE)[0].changed.keys() == set(made.names)
    sound(made)
    assert [call[:3] for call in made.calls("kubeadm")] == [
        ["cp-1", "upgrade", "apply"],
        *(["cp-2", "upgrade", "node"], ["worker-1", "upgrade", "node"], ["worker-2", "upgrade", "node"]),
    ]
    order = [
        (call[1], name) for call in made.calls("kubectl") for name in call[2:3] if call[1] in ("drain", "uncordon")
    ]
    assert order == [(verb, name) for name in made.names for verb in ("drain", "uncordon")]
    assert install(made, UPGRADE)[0].changed == {}
    assert [again.changed for again in install(made)] == [{}, {}, {}]


@pytest.mark.slow
def test_an_upgrade_that_is_killed_is_gone_on_from(world: Worlds) -> None:
    made = world(workers=1, version="1.33.7")
    install(made)
    made.change(pods=PODS)
    made.become(workers=1, version="1.34.3")
    for after in range(20, 1000, 7):
        ran = made.play(UPGRADE, kill_after=after)
        if ran.status == 0:
            break
    sound(made)
    assert made.play(UPGRADE).changed == {}


@pytest.mark.slow
def test_two_minors_at_once_are_refused_before_anything_changes(world: Worlds) -> None:
    made = world(workers=0, version="1.32.11")
    install(made, NODES, CONTROL_PLANE)
    made.become(workers=0, version="1.34.3")
    made.forget_calls()
    ran = made.play(UPGRADE)
    assert ran.status != 0
    assert "The cluster runs Kubernetes 1.32.11; 1.34.3 is not the same minor or the next one" in ran.output
    assert ran.changed == {}
    assert not made.calls("kubeadm")


@pytest.mark.slow
def test_nodes_of_a_cluster_get_another_version_by_the_upgrade_only(world: Worlds) -> None:
    made = world(workers=0, version="1.33.7")
    install(made, NODES, CONTROL_PLANE)
    made.become(workers=0, version="1.34.3")
    assert install(made, NODES)[0].changed == {}
    assert "1.33.7" in made.file("cp-1", "/usr/local/bin/kubelet").read_text()


@pytest.mark.slow
def test_binaries_that_never_joined_are_replaced_by_another_version(world: Worlds) -> None:
    made = world(workers=0, version="1.33.7")
    install(made, NODES)
    assert made.play("installed.yml").told["cp-1"]["installed"]["kubernetes"] == ""
    made.become(workers=0, version="1.34.3")
    install(made, NODES, CONTROL_PLANE)
    sound(made)


@pytest.mark.slow
def test_a_drain_that_takes_too_long_stops_the_upgrade_and_names_the_pods(world: Worlds) -> None:
    made = world(workers=2, version="1.33.7")
    install(made)
    made.change(pods=[{"name": "database-1", "node": "worker-1", "budget": True}])
    made.become(workers=2, version="1.34.3")
    ran = made.play(UPGRADE)
    assert ran.status != 0
    assert "worker-1 could not be drained within 600 s. Still there: default/database-1." in ran.output
    nodes = made.cluster()["nodes"]
    assert nodes["worker-1"]["spec"]["unschedulable"]
    assert nodes["worker-2"]["status"]["nodeInfo"]["kubeletVersion"] == "v1.33.7", "the next one is not begun"
    made.change(pods=[])
    install(made, UPGRADE)
    sound(made)
