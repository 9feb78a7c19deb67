"""Preflight's judge: healthy nodes, one thing wrong at a time, and what no set of answers may do to it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from cluster.preflight import Limits, judge
from cluster.preflight.judge import notes
from cluster.probe import nodes
from cluster.report import Problem
from tests.preflight.answers import settings, told

Told = dict[str, dict[str, Any]]


def found(said: Told, workers: int = 2, failed: tuple[str, ...] = (), **limits: Any) -> list[Problem]:
    given_ = settings(workers)
    return list(judge(given_, nodes(said), failed, replace(Limits.of(given_), **limits)))


def test_healthy_nodes_have_no_problem() -> None:
    assert found(told(settings())) == []


def fact(name: str, value: Any, node: str = "worker-1") -> Callable[[Told], None]:
    def change(said: Told) -> None:
        said[node]["facts"][name] = value

    return change


def inner(name: str, key: str, value: Any) -> Callable[[Told], None]:
    def change(said: Told) -> None:
        said["worker-1"]["facts"][name][key] = value

    return change


def interface(**values: Any) -> Callable[[Told], None]:
    def change(said: Told) -> None:
        said["worker-1"]["facts"]["interfaces"][0].update(values)

    return change


def disk(**values: Any) -> Callable[[Told], None]:
    def change(said: Told) -> None:
        for each in said["worker-1"]["facts"]["disks"]:
            each.update(values)

    return change


ONE_NODE: list[tuple[Callable[[Told], None], str, str]] = [
    (fact("hostname", "debian"), "hostname", "debian"),
    (fact("memory_mib", 900), "memory", "900 MiB"),
    (fact("memory_mib", 1500), "memory", "1500 MiB"),
    (fact("cores", 1), "cores", "1"),
    (fact("swap", ["/dev/vdb"]), "swap", "/dev/vdb"),
    (fact("cgroup", {"version": 1, "controllers": []}), "cgroups", "version 1"),
    (fact("cgroup", {"version": 2, "controllers": ["cpu"]}), "cgroups", "without memory, pids"),
    (inner("modules", "vxlan", "missing"), "kernel modules", "not to be had: vxlan"),
    (inner("sysctl", "net.ipv4.conf.all.rp_filter", 2), "sysctl net.ipv4.conf.all.rp_filter", "2"),
    (inner("sysctl", "fs.inotify.max_user_instances", 8), "sysctl fs.inotify.max_user_instances", "8"),
    (
        inner("names", "worker-1", {"error": "Name or service not known"}),
        "name",
        "its own name worker-1 does not resolve",
    ),
    (inner("names", "registry.k8s.io", {"error": "Try again"}), "name", "do not resolve: registry.k8s.io"),
    (inner("names", "worker-2", {"addresses": ["10.9.9.9"]}), "name", "worker-2 resolves to 10.9.9.9"),
    (inner("reach", "10.1.1.1:5000", {"error": "Connection refused"}), "reach 10.1.1.1:5000", "Connection refused"),
    (fact("gateway", None), "route", "no default route"),
    (interface(mtu=1400), "mtu", "1400 on ens3"),
    (interface(up=False), "interface", "ens3 is down"),
    (interface(addresses=["10.0.0.9"], own=False), "address", "10.0.0.9"),
    (disk(free_mib=300), "disk /var/lib", "0.3 GB free"),
    (disk(free_inodes=10), "disk /var/lib", "10 free inodes"),
]


@pytest.mark.parametrize(("change", "what", "shown"), ONE_NODE, ids=[f"{what}-{shown}" for _, what, shown in ONE_NODE])
def test_one_thing_wrong_with_a_node_is_one_problem(change: Callable[[Told], None], what: str, shown: str) -> None:
    said = told(settings())
    change(said)
    problems = found(said)
    assert [(each.node, each.what, each.found, each.severity) for each in problems] == [
        ("worker-1", what, shown, "error")
    ]
    assert problems[0].remedy and problems[0].wanted


def test_what_is_only_unfortunate_is_a_warning() -> None:
    said = told(settings())
    said["worker-1"]["facts"]["synchronised"] = "no"
    said["worker-1"]["facts"]["names"]["worker-2"] = {"error": "Name or service not known"}
    said["worker-2"]["facts"]["unknown"] = {"disks": "denied", "product_uuid": "none"}
    assert [(each.node, each.what, each.severity) for each in found(said)] == [
        ("worker-1", "clock", "warning"),
        ("worker-1", "name", "warning"),
        ("worker-2", "disks", "warning"),
    ]


def test_its_own_name_may_be_its_loopback() -> None:
    said = told(settings())
    said["worker-1"]["facts"]["names"]["worker-1"] = {"addresses": ["127.0.1.1"]}
    assert found(said) == []
    said["worker-1"]["facts"]["names"]["worker-2"] = {"addresses": ["127.0.1.1"]}
    assert [each.found for each in found(said)] == ["worker-2 resolves to 127.0.1.1"]


@pytest.mark.parametrize("what", ["hostname", "machine_id", "product_uuid", "mac"])
def test_what_two_nodes_have_in_common_is_told_once(what: str) -> None:
    said = told(settings())
    for name in ("worker-1", "worker-2"):
        if what == "mac":
            said[name]["facts"]["interfaces"][0]["mac"] = "52:54:00:aa:aa:aa"
        else:
            said[name]["facts"][what] = "same"
    clash = found(said, own_names=False)
    assert [(each.node, each.what) for each in clash] == [("worker-1, worker-2", what.replace("_", " "))]


def pair(said: Told, source: str, target: str) -> dict[str, Any]:
    found_: dict[str, Any] = said[source]["probe"]["pairs"][target]
    return found_


def test_a_port_that_nobody_gets_through_to_is_one_problem() -> None:
    said = told(settings())
    for source in ("control-1", "worker-2"):
        pair(said, source, "worker-1")["ports"]["10250/tcp"] = "timeout"
    pair(said, "control-1", "worker-2")["ports"]["4789/udp"] = "refused"
    assert [(each.node, each.what, each.found) for each in found(said)] == [
        ("control-1, worker-2 -> worker-1", "port 10250/tcp (kubelet)", "timeout"),
        ("control-1 -> worker-2", "port 4789/udp (Calico's VXLAN)", "refused"),
    ]


def test_a_node_that_nothing_reaches_is_one_problem_and_not_one_a_port() -> None:
    said = told(settings())
    for source in ("control-1", "worker-2"):
        way = pair(said, source, "worker-1")
        way["ping"] = way["full"] = {"error": "timeout"}
        way["ports"] = dict.fromkeys(way["ports"], "timeout")
        del way["clock"]
    assert [(each.node, each.what) for each in found(said)] == [("control-1, worker-2 -> worker-1", "way")]


def test_ports_of_kubernetes_itself_and_of_the_kernel_are_no_problem() -> None:
    said = told(settings())
    said["worker-1"]["listening"]["taken"] = [
        {"port": 10250, "protocol": "tcp", "by": ["kubelet"]},
        {"port": 4789, "protocol": "udp", "by": []},
    ]
    for source in ("control-1", "worker-2"):
        pair(said, source, "worker-1")["ports"] |= {"10250/tcp": "open", "4789/udp": "timeout"}
    assert found(said) == []
    assert notes(nodes(said)) == ["the kernel has 4789/udp already, so nobody could answer there: not proved"]
    said["worker-1"]["listening"]["taken"][0]["by"] = ["nc"]
    assert [(each.what, each.found) for each in found(said)] == [("port 10250/tcp", "taken by nc")]


def test_another_node_at_an_address() -> None:
    said = told(settings())
    pair(said, "control-1", "worker-1")["ports"] = {"10250/tcp": "other worker-2"}
    assert [(each.what, each.found) for each in found(said)] == [("address", "worker-2 answers there")]


def test_large_packets_that_get_lost() -> None:
    said = told(settings())
    pair(said, "control-1", "worker-1").update(full={"error": "timeout"}, largest=1450)
    pair(said, "control-1", "worker-2").update(ping={"error": "timeout"}, full={"error": "timeout"})
    assert [(each.node, each.what, each.found, each.severity) for each in found(said)] == [
        ("control-1 -> worker-1", "mtu", "packets of 1450 bytes pass at most", "error"),
        ("control-1 -> worker-2", "ping", "timeout", "warning"),
    ]


@pytest.mark.parametrize(("now", "shown"), [(1010.0, "9.5 s ahead of"), (990.0, "10.5 s behind")])
def test_a_wrong_clock_is_told_of_its_node_and_not_of_every_pair(now: float, shown: str) -> None:
    said = told(settings())
    said["worker-1"]["clock"]["now"] = now
    for source in ("control-1", "worker-2"):
        pair(said, source, "worker-1")["clock"] = {"offset_s": now - 1000.5, "error_s": 0.001}
    assert [(each.node, each.found) for each in found(said)] == [("worker-1", f"{shown} the machine that runs this")]


def test_clocks_that_differ_by_more_than_asking_took() -> None:
    said = told(settings())
    for name in said:
        said[name]["clock"] = {"sent": 1000.0, "now": 1003.0, "received": 1006.0}  # too slow to tell
    for source in ("control-1", "worker-2"):
        pair(said, source, "worker-1")["clock"] = {"offset_s": 2.8, "error_s": 0.01}
    assert {each.node for each in found(said)} == {"control-1 -> worker-1", "worker-2 -> worker-1"}
    for source in ("control-1", "worker-2"):
        pair(said, source, "worker-1")["clock"] = {"offset_s": 2.8, "error_s": 1.0}
    assert found(said) == []


def test_a_node_that_did_not_answer_is_told_once_and_ways_to_it_not_at_all() -> None:
    said = told(settings())
    del said["worker-1"]
    for source in ("control-1", "worker-2"):
        way = pair(said, source, "worker-1")
        way["ports"] = dict.fromkeys(way["ports"], "timeout")
        way["ping"] = {"error": "timeout"}
    assert found(said, failed=("worker-1",)) == []
    assert [(each.node, each.what) for each in found(said)] == [("worker-1", "access")]


def test_what_k3s_needs() -> None:
    given_ = settings(kubernetes={"provisioner": "k3s"})
    said = told(given_)
    assert {"8472/udp", "6443/tcp"} <= set(said["worker-1"]["probe"]["pairs"]["control-1"]["ports"])
    assert not {"2379/tcp", "179/tcp", "4789/udp"} & set(said["worker-1"]["probe"]["pairs"]["control-1"]["ports"])
    said["worker-1"]["facts"]["sysctl"]["net.ipv4.conf.all.rp_filter"] = 2
    said["worker-1"]["facts"]["memory_mib"] = 1700
    assert list(judge(given_, nodes(said), (), Limits.of(given_))) == []


PORT = st.sampled_from(["ok", "open", "refused", "timeout", "other worker-2", "no route to host"])
PING = st.sampled_from([{"ms": 0.2}, {"error": "timeout"}])


@st.composite
def broken(draw: st.DrawFn) -> tuple[int, Told]:
    """Nodes with anything wrong between them, and some that did not answer or not to the end."""
    workers = draw(st.integers(1, 5))
    said = told(settings(workers))
    for name in list(said):
        for way in said[name]["probe"]["pairs"].values():
            way["ping"], way["full"] = draw(PING), draw(PING)
            way["ports"] = {port: draw(PORT) for port in way["ports"]}
            if draw(st.booleans()):
                way.pop("clock")
        said[name]["clock"]["now"] += draw(st.floats(-10, 10))
        said[name]["facts"]["memory_mib"] = draw(st.integers(0, 4000))
        part = draw(st.sampled_from(["all", "all", "facts", "listening", "nothing"]))
        keep = {"facts": ["facts"], "listening": ["facts", "listening", "clock"], "nothing": []}.get(part)
        if keep is not None:
            said[name] = {key: said[name][key] for key in keep}
    return workers, said


@given(broken())
@effort(max_examples=150)
def test_whatever_is_told_is_judged_with_a_remedy_each(case: tuple[int, Told]) -> None:
    workers, said = case
    before = copy.deepcopy(said)
    problems = found(said, workers)
    assert said == before
    assert all(each.remedy and each.wanted and each.found and each.node for each in problems)
    assert len(problems) == len(set(problems))
    # no way is told of to a node that was not there to answer
    silent = {name for name, each in said.items() if "listening" not in each}
    assert not [each for each in problems if each.node.rpartition(" -> ")[2] in silent and "->" in each.node]
