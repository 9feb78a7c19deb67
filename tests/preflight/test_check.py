"""The check of a cluster: what kubectl prints, read and judged; what is waited for; and the plays that ask."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster import check
from cluster.ansible import Failure, Outcome, Play
from cluster.check import Wait
from cluster.check.judge import Wanted, judge
from cluster.check.model import Cluster, KubeNode, Member, Pod, Server, Service
from cluster.check.pods import question, targets
from cluster.render.probe_pods import PREFIX, probe_pods
from cluster.report import Problem
from tests.preflight.answers import settings

ALL = ("control-1", "worker-1", "worker-2")


def node(name: str, **changes: Any) -> KubeNode:
    return replace(KubeNode(name, True, "kubelet is posting ready status", "v1.34.3", False), **changes)


def pod(name: str, where: str = "worker-1", **changes: Any) -> Pod:
    return replace(Pod("kube-system", name, where, "Running", True, False, "10.233.64.9"), **changes)


SYSTEM = (
    *(pod(f"calico-node-{name}", name, app="calico-node", host_network=True, address="") for name in ALL),
    *(pod(f"kube-proxy-{name}", name, app="kube-proxy", host_network=True, address="") for name in ALL),
    pod("coredns", app="kube-dns"),
)
"""What runs in any cluster."""


def well(**changes: Any) -> Cluster:
    made = Cluster(
        ready=True,
        servers={"control-1": Server("v1.34.3")},
        nodes={name: node(name) for name in ALL},
        pods=(*SYSTEM, *(pod(f"coredns-{name}", name, address=f"10.233.64.{n}") for n, name in enumerate(ALL))),
        dns=Service("10.233.0.3", 53),
        api=Service("10.233.0.1", 443),
        etcd=(Member("https://192.168.200.11:2379", True, ""),),
    )
    return replace(made, **changes)


def found(cluster: Cluster, group: str = "kube_node") -> list[Problem]:
    return list(judge(cluster, Wanted.of(settings(), group)))


def test_a_cluster_that_is_well() -> None:
    assert found(well()) == []
    assert found(well(), "kube_control_plane") == []


@pytest.mark.parametrize(
    ("cluster", "expected"),
    [
        (Cluster(unknown={"ready": "connection refused"}), [("cluster", "API", "connection refused")]),
        (
            well(ready=False, failed=("etcd failed: reason withheld",)),
            [("cluster", "API", "etcd failed: reason withheld")],
        ),
        (
            well(etcd=(Member("https://192.168.200.11:2379", False, "context deadline exceeded"),)),
            [("cluster", "etcd https://192.168.200.11:2379", "context deadline exceeded")],
        ),
        (well(etcd=()), [("control-1", "etcd member", "none")]),
        (
            well(etcd=(*(well().etcd or ()), Member("https://192.168.200.12:2379", True, ""))),
            [("cluster", "etcd https://192.168.200.12:2379", "belongs to no control plane")],
        ),
        # a control plane that has gone ill while workers joined
        (
            well(nodes={**well().nodes, "control-1": node("control-1", ready=False, why="gone")}),  # type: ignore[dict-item]
            [("control-1", "node", "not Ready: gone")],
        ),
        # what is not there cannot be ill
        (well(dns=None), [("cluster", "DNS", "no service")]),
        (well(pods=tuple(each for each in SYSTEM if each.app != "kube-dns")), [("cluster", "DNS", "no pod")]),
        (
            well(pods=tuple(each for each in SYSTEM if each.name != "kube-proxy-worker-1")),
            [("worker-1", "pod kube-proxy", "none")],
        ),
        (
            well(pods=tuple(each for each in SYSTEM if each.app != "calico-node")),
            [(name, "pod calico-node", "none") for name in ALL],
        ),
        (
            well(nodes={name: node(name) for name in ALL[:2]}),
            [("worker-2", "node", "is not in the cluster")],
        ),
        (
            well(nodes={**well().nodes, "worker-1": node("worker-1", ready=False, why="cni plugin not initialized")}),  # type: ignore[dict-item]
            [("worker-1", "node", "not Ready: cni plugin not initialized")],
        ),
        (
            well(nodes={**well().nodes, "worker-1": node("worker-1", version="v1.33.1")}),  # type: ignore[dict-item]
            [("worker-1", "version", "v1.33.1")],
        ),
        # kubelet is the new one, the API server is not: an upgrade that was cut off
        (well(servers={"control-1": Server("v1.33.7")}), [("control-1", "API server", "v1.33.7")]),
        (well(servers={"control-1": Server(error="refused")}), [("control-1", "API server", "refused")]),
        (
            well(
                pods=(
                    *SYSTEM,
                    pod("calico-node-x", phase="Running", ready=False, waiting=("CrashLoopBackOff",), why="back-off"),
                )
            ),
            [("worker-1", "pod kube-system/calico-node-x", "CrashLoopBackOff: back-off")],
        ),
        (
            well(
                pods=(
                    *SYSTEM,
                    pod("coredns", "", phase="Pending", ready=False, unschedulable="0/3 nodes are available"),
                )
            ),
            [("cluster", "pod kube-system/coredns", "Pending: 0/3 nodes are available")],
        ),
        (well(pods=None, unknown={"pods": "forbidden"}), [("cluster", "pods", "cannot be told: forbidden")]),
        # what is not the system's, has run to its end or is on its way out
        (
            well(
                pods=(
                    *SYSTEM,
                    pod("x", namespace="default", ready=False),
                )
            ),
            [],
        ),
        (
            well(
                pods=(
                    *SYSTEM,
                    pod("helm-install", phase="Succeeded", ready=False),
                )
            ),
            [],
        ),
        (
            well(
                pods=(
                    *SYSTEM,
                    pod("old", ready=False, going=True),
                )
            ),
            [],
        ),
    ],
)
def test_what_is_wrong_is_told(cluster: Cluster, expected: list[tuple[str, str, str]]) -> None:
    problems = found(cluster)
    assert [(each.node, each.what, each.found) for each in problems] == expected
    assert all(each.severity == "error" and each.remedy for each in problems)


def test_the_control_planes_check_is_not_held_up_by_workers() -> None:
    ill = node("worker-1", ready=False)
    pods = (
        pod("metrics-server", "", phase="Pending", ready=False, unschedulable="had untolerated taint"),
        pod("calico-node", "worker-1", ready=False, waiting=("ErrImagePull",)),
        *SYSTEM,
    )
    problems = found(well(nodes={**(well().nodes or {}), "worker-1": ill}, pods=pods), "kube_control_plane")
    assert [(each.what, each.severity) for each in problems] == [("pod kube-system/metrics-server", "warning")]


def test_a_version_of_k3s_has_its_own_count() -> None:
    given = settings(kubernetes={"provisioner": "k3s", "k3s": "v1.34.3+k3s1"})
    assert Wanted.of(given, "kube_node").version == "v1.34.3+k3s1"


def test_an_existing_cluster_is_somebody_elses() -> None:
    wanted = Wanted((), "v1.34.3", foreign=True)
    nodes = {"theirs-1": node("theirs-1", version="v1.34.1"), "theirs-2": node("theirs-2", ready=False)}
    problems = list(judge(well(nodes=nodes, pods=(pod("x", ready=False),)), wanted))
    assert {(each.node, each.severity) for each in problems} == {
        ("theirs-2", "warning"),
        ("worker-1", "warning"),
        ("cluster", "warning"),
    }
    assert [each.severity for each in judge(well(dns=None, nodes=nodes), wanted) if each.what == "DNS"] == ["warning"]
    none = list(judge(well(nodes={"theirs-2": node("theirs-2", ready=False, version="v1.30.2")}), wanted))
    assert [(each.what, each.severity) for each in none if each.severity == "error"] == [
        ("nodes", "error"),
        ("version", "error"),
    ]


def test_one_pod_a_node_is_asked_for_and_none_of_the_nodes_own_network() -> None:
    pods = (
        pod("b", "worker-1", address="10.0.0.2"),
        pod("a", "worker-1", address="10.0.0.1"),
        pod("proxy", "worker-2", address="192.168.200.22", host_network=True),
        pod("app", "worker-2", namespace="default", address="10.0.0.7"),
    )
    assert targets(pods) == {"10.0.0.7": "worker-2", "10.0.0.1": "worker-1"}
    asked = question(well(pods=pods), settings())
    assert (asked["dns"], asked["services"]) == ("10.233.0.3", [{"address": "10.233.0.1", "port": 443}])


class Plays:
    """Plays that answer by a list, and a clock that a sleep moves."""

    def __init__(self, *clusters: Mapping[str, Any], through: Mapping[str, Any] | None = None) -> None:
        self.clusters = list(clusters)
        self.through = through or {}
        self.seen: list[Play] = []
        self.probes: list[dict[str, Any]] | None = []
        self.dies = False
        self.now = 0.0

    def run(self, play: Play) -> Outcome:
        self.seen.append(play)
        if play.playbook == "probe_pods.yml":
            return Outcome(0, (), self.made(play.extra["probe_pods"]["items"]), play.log)
        if play.playbook == "pods.yml" and self.dies:
            raise KeyboardInterrupt
        if play.playbook == "pods.yml":
            told = {name: {"pods": self.through} for name in ALL} if self.through else {}
            return Outcome(0, (), told, play.log)
        said = self.clusters.pop(0) if len(self.clusters) > 1 else self.clusters[0]
        return Outcome(0, (), {"control-1": {"cluster": said}}, play.log)

    def made(self, wanted: list[dict[str, Any]]) -> dict[str, Any]:
        """Run the pods that are wanted, as a kubelet would; None in ``probes``: an admission webhook refuses them."""
        if self.probes is None:
            return (
                {"control-1": {"probe": {"pods": [], "said": "admission webhook denied the request"}}} if wanted else {}
            )
        self.probes = [
            {**pod, "status": {"phase": "Running", "podIP": f"10.233.70.{number}"}}
            for number, pod in enumerate(wanted, 1)
        ]
        return {"control-1": {"probe": {"pods": self.probes, "said": ""}}} if wanted else {}

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @property
    def wait(self) -> Wait:
        return Wait(60, 10, lambda: self.now, self.sleep)


def raw(cluster: Cluster) -> dict[str, Any]:
    """Return a cluster in the words of the node-side helper."""
    return {
        "ready": {"ok": cluster.ready, "failed": list(cluster.failed)},
        "servers": {name: vars(each) for name, each in (cluster.servers or {}).items()},
        "nodes": [vars(each) for each in (cluster.nodes or {}).values()],
        "pods": [{**vars(each), "waiting": list(each.waiting)} for each in cluster.pods or ()],
        "dns": vars(cluster.dns) if cluster.dns else None,
        "api": vars(cluster.api) if cluster.api else None,
        "etcd": [vars(each) for each in cluster.etcd or ()],
        "unknown": {},
    }


THROUGH = {
    "from": "10.233.64.2",
    "pods": {f"10.233.64.{n}": {"ms": 0.5} for n in range(3)},
    "services": {"10.233.0.1:443": "open"},
    "dns": {"addresses": ["10.233.0.1"]},
}


def run(plays: Plays, tmp_path: Path, group: str = "kube_node", heard: list[str] | None = None) -> Any:
    said = heard if heard is not None else []
    where = (tmp_path / "hosts.yaml", tmp_path / "log")
    return check.check(*where, group, settings(), None, wait=plays.wait, say=said.append, run=plays.run)


def test_it_waits_while_what_is_wrong_may_pass(tmp_path: Path) -> None:
    ill = well(nodes={**(well().nodes or {}), "worker-1": node("worker-1", ready=False, why="starting")})
    plays, heard = Plays(raw(ill), raw(ill), raw(well()), through=THROUGH), []
    report = run(plays, tmp_path, heard=heard)
    assert report.ok
    assert heard == [f"waiting for worker-1: node: not Ready: starting ({left} s left)" for left in (60, 50)]
    assert [each.playbook for each in plays.seen] == ["check.yml"] * 3 + ["pods.yml"]


def test_it_gives_up_at_the_limit_and_at_once_where_waiting_is_no_use(tmp_path: Path) -> None:
    ill = well(nodes={**(well().nodes or {}), "worker-1": node("worker-1", ready=False)})
    plays = Plays(raw(ill))
    assert [each.node for each in run(plays, tmp_path).problems] == ["worker-1"]
    assert len(plays.seen) == 7
    old = Plays(raw(well(nodes={**(well().nodes or {}), "worker-1": node("worker-1", version="v1.2.3")})))
    assert [each.what for each in run(old, tmp_path).problems] == ["version"]
    assert len(old.seen) == 1


def test_what_does_not_get_through_the_cluster(tmp_path: Path) -> None:
    broken = {
        **THROUGH,
        "from": "node",
        "pods": {"10.233.64.2": {"error": "timeout"}, "10.233.64.0": {"ms": 1}},
        "services": {"10.233.0.1:443": "timeout"},
        "dns": {"error": "timed out"},
    }
    report = run(Plays(raw(well()), through=broken), tmp_path)
    assert [(each.node, each.what) for each in report.problems] == [
        ("control-1, worker-1, worker-2 -> cluster", "service 10.233.0.1:443 (the API)"),
        ("control-1, worker-1, worker-2 -> cluster", "DNS at 10.233.0.3"),
        ("control-1, worker-1, worker-2 -> worker-2", "pod 10.233.64.2"),
    ]
    assert "asked from the node, not from a pod" in report.notes[1]


def test_a_play_that_tells_nothing_is_no_pass(tmp_path: Path) -> None:
    report = run(Plays(raw(well()), through={}), tmp_path)
    assert [(each.node, each.found) for each in report.problems] == [(name, "was not asked") for name in ALL]


PAUSE = "registry.k8s.io/pause:3.10"


def thin(**more: Any) -> Cluster:
    """Return a cluster in which only control-1 has a pod of the system's with a network of its own."""
    nodes = more.pop("nodes", None) or {name: node(name, pause=PAUSE) for name in ALL}
    found = (*SYSTEM[:-1], pod("coredns", "control-1", app="kube-dns", address="10.233.64.0"))
    return well(nodes=nodes, pods=(*found, *more.pop("also", ())), **more)


def reached(*addresses: str, **more: Any) -> dict[str, Any]:
    return {**THROUGH, "pods": {each: {"ms": 0.5} for each in addresses}, **more}


def test_a_node_without_a_pod_of_the_systems_gets_one_for_as_long_as_it_is_asked(tmp_path: Path) -> None:
    plays = Plays(raw(thin()), through=reached("10.233.64.0", "10.233.70.1", "10.233.70.2"))
    report = run(plays, tmp_path)
    assert (report.problems, plays.probes) == ((), [])
    assert report.notes == ("pod network: asked from a pod on 3 of 3 nodes, of pods on 3",)
    assert [each.playbook for each in plays.seen] == ["check.yml", "probe_pods.yml", "pods.yml", "probe_pods.yml"]
    made = plays.seen[1].extra["probe_pods"]["items"]
    assert [each["spec"]["nodeName"] for each in made] == ["worker-1", "worker-2"]
    assert plays.seen[2].extra["pods"]["pods"] == ["10.233.64.0", "10.233.70.1", "10.233.70.2"]
    # A pod of a service is no substitute: a network policy may keep it from answering.
    app = pod("app", "worker-1", namespace="mlops", address="10.233.65.7")
    plays = Plays(raw(thin(also=(app,))), through=reached("10.233.64.0", "10.233.70.1", "10.233.70.2"))
    assert run(plays, tmp_path).ok
    assert "10.233.65.7" not in plays.seen[2].extra["pods"]["pods"]


def test_what_does_not_reach_a_probe_is_named_by_its_node(tmp_path: Path) -> None:
    broken = {**reached("10.233.64.0", "10.233.70.1"), "pods": {"10.233.70.2": {"error": "timeout"}}}
    (problem,) = run(Plays(raw(thin()), through=broken), tmp_path).problems
    assert (problem.node, problem.what) == ("control-1, worker-1, worker-2 -> worker-2", "pod 10.233.70.2")


def test_pods_that_cannot_be_made_are_said_and_the_check_goes_on(tmp_path: Path) -> None:
    plays = Plays(raw(thin()), through=reached("10.233.64.0"))
    plays.probes = None
    report = run(plays, tmp_path)
    assert report.ok
    assert "no pod could be made on worker-1, worker-2: admission webhook denied the request" in report.notes
    unnamed = thin(nodes={name: node(name) for name in ALL})
    report = run(Plays(raw(unnamed), through=reached("10.233.64.0")), tmp_path)
    assert "no pod was made on worker-1, worker-2: the node names no pause image that it has" in report.notes


def test_a_check_that_ends_early_takes_its_pods_away_and_the_next_those_of_a_killed_one(tmp_path: Path) -> None:
    plays = Plays(raw(thin()))
    plays.dies = True
    with pytest.raises(KeyboardInterrupt):
        run(plays, tmp_path)
    assert plays.probes == []
    left = pod(f"{PREFIX}worker-1", "worker-1", namespace="default", address="10.233.70.9")
    full = well(pods=(*(well().pods or ()), left))
    plays = Plays(raw(full), through=THROUGH)
    assert run(plays, tmp_path).ok
    assert [each.playbook for each in plays.seen] == ["check.yml", "probe_pods.yml", "pods.yml"]
    assert plays.seen[1].extra["probe_pods"]["items"] == []
    # One that is left does not stand for a pod of the system's either.
    plays = Plays(raw(thin(also=(left,))), through=reached("10.233.64.0", "10.233.70.1", "10.233.70.2"))
    assert run(plays, tmp_path).ok
    assert [each["spec"]["nodeName"] for each in plays.seen[1].extra["probe_pods"]["items"]] == ["worker-1", "worker-2"]
    assert "10.233.70.9" not in plays.seen[2].extra["pods"]["pods"]


def test_a_control_planes_check_makes_none_on_workers(tmp_path: Path) -> None:
    plays = Plays(raw(thin()), through=reached("10.233.64.0"))
    run(plays, tmp_path, "kube_control_plane")
    assert [each.playbook for each in plays.seen] == ["check.yml", "pods.yml"]


def test_a_probe_is_what_the_restricted_level_allows() -> None:
    """The level's rules: https://kubernetes.io/docs/concepts/security/pod-security-standards, table Restricted."""
    (made,) = probe_pods({"gpu-1": PAUSE})["items"]
    spec, container = made["spec"], made["spec"]["containers"][0]
    assert not {"hostNetwork", "hostPID", "hostIPC", "volumes"} & spec.keys()
    assert (spec["securityContext"]["runAsNonRoot"], spec["securityContext"]["runAsUser"] > 0) == (True, True)
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    # Nothing is fetched, no scheduler is asked, no taint keeps it off, and it ends by itself.
    assert (container["image"], container["imagePullPolicy"], spec["nodeName"]) == (PAUSE, "Never", "gpu-1")
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert spec["activeDeadlineSeconds"] <= 600


def test_nobody_to_ask_is_a_problem(tmp_path: Path) -> None:
    def nobody(play: Play) -> Outcome:
        return Outcome(4, (Failure("control-1", "Ask", "No route to host", unreachable=True),), {}, play.log)

    report = check.check(tmp_path / "h", tmp_path / "log", "kube_node", settings(), None, wait=Wait(0), run=nobody)
    assert [(each.node, each.what) for each in report.problems] == [("control-1", "access")]
    report = check.check(
        tmp_path / "h",
        tmp_path / "log",
        "kube_node",
        settings(),
        None,
        wait=Wait(0),
        run=lambda play: Outcome(0, (), {}, play.log),
    )
    assert [each.found for each in report.problems] == ["nobody could be asked"]


KUBECTL = """#!{python}
import json, sys
words = " ".join(sys.argv[1:])
assert "--kubeconfig" in words, words
ready = {{"type": "Ready", "status": "True", "message": "kubelet is posting ready status"}}
status = {{"conditions": [ready], "nodeInfo": {{"kubeletVersion": "v1.34.9"}}}}
node = {{"metadata": {{"name": "theirs"}}, "spec": {{}}, "status": status}}
if "--raw=/version" in words:
    print(json.dumps({{"gitVersion": "v1.34.9-eks-1"}}))
elif "--raw" in words:
    print("[+]ping ok\\nreadyz check passed")
else:
    print(json.dumps({{"items": [node] if "get nodes" in words else []}}))
"""


@pytest.mark.skipif(shutil.which("ansible-playbook") is None, reason="no ansible-playbook: make setup")
def test_an_existing_cluster_is_asked_with_kubectl_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The play is real; kubectl is a stand-in."""
    stand_in = tmp_path / "bin" / "kubectl"
    stand_in.parent.mkdir()
    stand_in.write_text(KUBECTL.format(python=sys.executable))
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}:{Path(sys.executable).parent}:/usr/bin:/bin")
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text("{}")
    inventory = tmp_path / "hosts.yaml"
    inventory.write_text(yaml.safe_dump({"all": {"hosts": {}}}))
    given = settings(0).model_copy(update={"machines": ()})
    kubernetes = given.kubernetes.model_copy(update={"provisioner": "existing", "kubeconfig": str(kubeconfig)})
    given = given.model_copy(update={"kubernetes": kubernetes})
    log = tmp_path / "log"
    report = check.check(inventory, log, "kube_node", given, None, wait=Wait(0))
    assert report.problems == (), (str(report), log.read_text())
    assert report.notes == ("the cluster was asked with kubectl here: nothing was asked from its nodes",)
