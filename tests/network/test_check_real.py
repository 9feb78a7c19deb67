"""The check and the net check on real nodes and a real pod network; kubectl and etcdctl are stand-ins (``kube``)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cluster import check, net
from cluster.check import Wait
from cluster.net import NetReport
from cluster.preflight import Limits
from cluster.report import Report
from tests.network.kube import Kube, node_item, pod_item
from tests.network.site import Site

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def kube(site: Site) -> Kube:
    return Kube(site)


def look(site: Site, group: str = "kube_node", most: float = 0, heard: list[str] | None = None) -> Report:
    settings = site.settings()
    log = site.folder / "check.log"
    said = heard if heard is not None else []
    passed = [0.0]  # only waiting counts: a look takes as long as the machine is busy
    wait = Wait(most, 2.0, lambda: sum(passed), passed.append)
    report = check.check(site.inventory(settings), log, group, settings, site.ansible, wait=wait, say=said.append)
    print(report, log.read_text()[-2500:])
    return report


def ways(site: Site) -> NetReport:
    settings = site.settings()
    limits = replace(Limits.of(settings), modules=(), controllers=())
    found = net.check(site.inventory(settings), site.folder / "net.log", settings, site.ansible, limits=limits)
    print(found)
    return found


def test_a_cluster_that_is_well(site: Site, kube: Kube) -> None:
    report = look(site)
    assert (report.problems, report.warnings) == ((), ())
    assert report.notes == ("pod network: asked from a pod on 3 of 3 nodes, of pods on 3",)


def test_it_waits_for_what_may_pass_and_says_for_what(site: Site, kube: Kube) -> None:
    not_ready = node_item(
        "worker-1", ready=False, why="container runtime network not ready: cni plugin not initialized"
    )
    items = [node_item("control-1"), not_ready]
    kube.say("nodes.json", json.dumps({"items": items}))
    kube.say(
        "pods.json",
        json.dumps({"items": [*kube.pod_items(), pod_item("calico-x", "worker-1", "", waiting="ImagePullBackOff")]}),
    )
    kube.etcd([{"endpoint": "https://10.77.0.11:2379", "health": False, "error": "context deadline exceeded"}])
    heard: list[str] = []
    report = look(site, most=4, heard=heard)
    assert heard[0].startswith(
        "waiting for cluster: etcd https://10.77.0.11:2379: context deadline exceeded; worker-1: "
    )
    assert {(each.node, each.what) for each in report.problems} == {
        ("cluster", "etcd https://10.77.0.11:2379"),
        ("worker-1", "node"),
        ("worker-1", "pod kube-system/calico-x"),
        ("worker-2", "node"),
    }
    # the control plane's check is not kept waiting by workers
    kube.etcd([{"endpoint": "https://10.77.0.11:2379", "health": True}])
    assert look(site, "kube_control_plane").problems == ()


def test_net_check_of_whole_ways(site: Site, kube: Kube) -> None:
    kube.say("nodes.json", json.dumps({"items": [node_item(name) for name in site.nodes]}))
    kube.say("pods.json", json.dumps({"items": kube.pod_items()}))
    found = ways(site)
    assert found.report.problems == ()
    assert found.ok and len(found.ways) == 6
    for way in found.ways:
        assert (way.hop, way.packet, way.pods) == (None, 1500, True)
        assert way.mbps and way.mbps > 1
        assert 0 < way.ports_open == way.ports


def test_the_command_on_real_nodes(site: Site, kube: Kube) -> None:
    """``cloudctl net check`` as a user runs it, from the project's folder."""
    settings = site.settings()
    (site.folder / "Pulumi.yaml").write_text("name: inference-cloud\nruntime: python\n")
    inventory = site.folder / ".cloud" / "site" / "inventory" / "hosts.yaml"
    inventory.parent.mkdir(parents=True)
    inventory.write_text(site.inventory(settings).read_text())
    environment = {**os.environ, "PATH": f"{site.ansible}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "cloudctl", "net", "check", "--stack", "site"]
    done = subprocess.run(command, cwd=site.folder, env=environment, capture_output=True, text=True)
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    assert "6 of 6 ways are whole" in done.stdout
    assert done.stderr.splitlines()[0] == "... Ask each node about itself"


def test_the_first_broken_hop_is_named(site: Site, kube: Kube) -> None:
    control, one, two = site.nodes.values()
    # a pod network that is cut between two nodes whose own way is whole
    one.sh(f"ip route del {kube.pods['worker-2'][:-1]}0/24")
    one.sh("iptables -A INPUT -p udp --dport 4789 -j DROP")
    two.sh(f"ip route add blackhole {control.address}/32")
    try:
        found = ways(site)
    finally:
        two.sh(f"ip route del blackhole {control.address}/32")
    hops = {(way.source, way.target): way.hop for way in found.ways}
    assert hops[("worker-1", "worker-2")] == "pod network"
    assert hops[("control-1", "worker-1")] == "port"
    assert hops[("worker-2", "control-1")] == "other node"
    assert hops[("control-1", "worker-2")] == "other node"
    assert not found.ok
    api = [each for each in found.report.problems if each.what.startswith("service")]
    assert [(each.node, each.found) for each in api] == [("worker-2 -> cluster", "timeout")]
