"""The first broken hop of a way, in the order in which packets meet them."""

from __future__ import annotations

from typing import Any

import pytest

from cloudctl.views.net import figures, matrix
from cluster.check.model import Cluster, Pod
from cluster.net import NetReport, Way
from cluster.net.hops import ways
from cluster.probe import nodes
from cluster.report import Report
from tests.preflight.answers import settings, told

TWO_HOSTS: dict[str, Any] = {
    "hosts": [{"name": "ws"}, {"name": "other", "uri": "qemu+ssh://me@192.168.200.3/system"}],
    "network": {"mode": "bridge", "bridge": "br0"},
}


def way(said: dict[str, dict[str, Any]], given: Any = None, **more: Any) -> Way:
    found = ways(given or settings(1), nodes(said), nodes(said), more.get("cluster", Cluster()))
    return next(each for each in found if (each.source, each.target) == ("control-1", "worker-1"))


def cut(said: dict[str, dict[str, Any]], source: str = "control-1", target: str = "worker-1") -> None:
    pair = said[source]["probe"]["pairs"][target]
    pair["ping"] = pair["full"] = {"error": "timeout"}
    pair["ports"] = dict.fromkeys(pair["ports"], "timeout")


def test_a_whole_way_says_what_it_carries() -> None:
    found = way(told(settings(1)))
    assert (found.hop, found.ping_ms, found.mbps, found.packet, found.ports_open, found.ports) == (
        None,
        0.3,
        900,
        1500,
        5,
        5,
    )
    assert figures(found) == ["control-1", "worker-1", 0.3, 900, 1500, "5/5", None]


def test_each_hop_is_named_before_those_behind_it() -> None:
    said = told(settings(1))
    said["worker-1"]["pods"] = said["control-1"]["pods"] = {
        "from": "10.233.64.2",
        "pods": {"10.233.65.2": {"error": "timeout"}},
        "services": {},
    }
    cluster = Cluster(pods=(Pod("kube-system", "dns", "worker-1", "Running", True, False, "10.233.65.2"),))
    assert way(said, cluster=cluster).hop == "pod network"
    said["control-1"]["probe"]["pairs"]["worker-1"] |= {"full": {"error": "timeout"}, "largest": 1400}
    found = way(said, cluster=cluster)
    assert (found.hop, found.packet, found.pods) == ("mtu", 1400, False)
    said["control-1"]["probe"]["pairs"]["worker-1"]["ports"]["10250/tcp"] = "refused"
    assert (way(said).hop, way(said).found) == ("port", "10250/tcp refused")
    cut(said)
    assert way(said).hop == "other node"
    said["control-1"]["probe"]["others"]["192.168.200.1"] = {"error": "timeout"}
    assert way(said).hop == "gateway"
    said["worker-1"]["facts"]["interfaces"][0]["up"] = False
    assert way(said).hop == "address"
    del said["worker-1"]
    assert (way(said).hop, way(said).found) == ("node", "worker-1 cannot be asked")


def test_the_other_host_comes_before_the_other_node() -> None:
    given = settings(1, **TWO_HOSTS)
    machines = [
        machine.model_copy(update={"host": host}) for machine, host in zip(given.machines, ("ws", "other"), strict=True)
    ]
    given = given.model_copy(update={"machines": tuple(machines)})
    said = told(given)
    cut(said)
    said["control-1"]["probe"]["others"]["192.168.200.3"] = {"error": "timeout"}
    found = way(said, given)
    assert (found.hop, found.found) == ("host", "control-1 does not reach other (192.168.200.3): timeout")


@pytest.mark.parametrize("ended", ["listening", "probe"])
def test_a_node_that_was_not_asked_to_the_end(ended: str) -> None:
    said = told(settings(1))
    del said["worker-1" if ended == "listening" else "control-1"][ended]
    assert way(said).hop == "node"


def test_the_matrix_has_a_row_for_each_node() -> None:
    said = told(settings(1))
    cut(said)
    found = NetReport(tuple(ways(settings(1), nodes(said), {}, Cluster())), Report("net check", ()), False)
    assert matrix(found, ["control-1", "worker-1"]) == [["control-1", ".", "other node"], ["worker-1", "ok", "."]]
    assert not found.ok
    assert found.as_json()["ways"][0]["hop"] == "other node"
