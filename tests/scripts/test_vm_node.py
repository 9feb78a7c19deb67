"""A worker's pods leave it before it restarts or is deleted, and are let in after it; with a stand-in for kubectl."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cluster import leaving
from cluster.leases.book import Update
from components.scripts import leave
from components.scripts.node import DRAINED, Node
from components.scripts.resize import resize
from components.scripts.tools import Done, ScriptError
from components.scripts.wait_ready import NODE, wait_ready
from tests.scripts.test_vm_ready import Guest, told  # noqa: F401 - a fixture
from tests.scripts.test_vm_size import told as size_told
from tests.scripts.vm_world import GIB, TOLD, Killed, World, sizes

BUDGET = Done(1, "", "error: Cannot evict pod as it would violate the pod's disruption budget.\n")


@dataclass
class Cluster(World):
    """A VM that is a node; ``drain`` is how a drain ends, ``api`` how every question does where it does not work."""

    unschedulable: bool = False
    annotations: dict[str, str] = field(default_factory=dict)
    drain: Done = field(default_factory=lambda: Done(0))
    wait: Done = field(default_factory=lambda: Done(0))
    api: Done | None = None
    kubectl: bool = True
    ready: bool = True
    ends: bool = False
    log: list[str] = field(default_factory=list)

    def run(self, words: Sequence[str], timeout_s: float) -> Done:
        if words[0] == "virsh" and words[4] in ("shutdown", "start"):
            self.log.append(words[4])
        if words[0] != "kubectl":
            return super().run(words, timeout_s)
        assert words[1] == "--kubeconfig"
        if not self.kubectl:
            raise ScriptError("there is no kubectl on PATH; install it where you run the update")
        return self.api or self.answer(list(words[3:]))

    def answer(self, words: list[str]) -> Done:
        verb = words[0]
        if verb == "get":
            metadata = {"annotations": self.annotations} if self.annotations else {}
            status = {"conditions": [{"type": "Ready", "status": "True" if self.ready else "Unknown"}]}
            spec = {"unschedulable": self.unschedulable}
            return Done(0, json.dumps({"metadata": metadata, "spec": spec, "status": status}))
        self.log.append(verb)
        if verb == "annotate":
            key, equals, value = words[3].partition("=")
            if equals:
                self.annotations[key] = value
            else:
                self.annotations.pop(key.removesuffix("-"), None)
            return self.changed()
        if verb == "wait":
            return self.wait
        if verb == "drain":
            assert {"--ignore-daemonsets", "--delete-emptydir-data"} <= set(words)
            self.unschedulable = True
            if self.ends:
                self.api = Done(1, "", "dial tcp: connection refused")
            return self.changed() if self.drain.status == 0 else self.drain
        assert verb == "uncordon"
        self.unschedulable = False
        return self.changed()


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    path = tmp_path / "kubeconfig"
    path.touch()
    return path


def a_worker(**more: Any) -> Cluster:
    return Cluster(config=sizes(4, 4096), disk=40 * GIB, **more)


def test_the_pods_leave_before_the_restart_and_are_let_in_after_it(kubeconfig: Path) -> None:
    world = a_worker()
    resize(world, size_told(KUBECONFIG_FILE=kubeconfig))
    assert world.log == ["annotate", "drain", "shutdown", "start"]
    assert (world.unschedulable, world.annotations) == (True, {DRAINED: "true"})
    assert node(world, kubeconfig).come_back() == []
    assert world.log[4:] == ["wait", "uncordon", "annotate"]
    assert (world.unschedulable, world.annotations) == (False, {})
    assert node(world, kubeconfig).come_back() == []
    assert len(world.log) == 7


def node(world: Cluster, kubeconfig: Path) -> Node:
    return Node(world, "gpu-1", kubeconfig)


def test_a_node_that_somebody_else_has_closed_stays_closed(kubeconfig: Path) -> None:
    world = a_worker(unschedulable=True)
    resize(world, size_told(KUBECONFIG_FILE=kubeconfig))
    assert world.log == ["drain", "shutdown", "start"]
    node(world, kubeconfig).come_back()
    assert world.unschedulable


def test_pods_that_do_not_go_keep_the_vm_as_it_is(kubeconfig: Path) -> None:
    world = a_worker(drain=BUDGET)
    with pytest.raises(ScriptError, match=r"was not restarted for its new size: .*disruption budget.*kubectl uncordon"):
        resize(world, size_told(KUBECONFIG_FILE=kubeconfig))
    assert "shutdown" not in world.log
    resize(world, size_told(KUBECONFIG_FILE=kubeconfig, CLOUD_WITHOUT_DRAIN="worker-1, gpu-1"))
    assert world.log[-2:] == ["shutdown", "start"]
    assert world.log.count("drain") == 1


def test_without_a_cluster_that_answers_it_is_restarted_all_the_same(kubeconfig: Path, tmp_path: Path) -> None:
    for world, words, said in (
        (a_worker(), {}, ""),
        (a_worker(), {"KUBECONFIG_FILE": tmp_path / "none"}, ""),
        (a_worker(kubectl=False), {"KUBECONFIG_FILE": kubeconfig}, "there is no kubectl on PATH"),
        (a_worker(api=Done(1, "", "dial tcp: i/o timeout")), {"KUBECONFIG_FILE": kubeconfig}, "does not answer"),
        (a_worker(api=Done(1, "", 'nodes "gpu-1" not found (NotFound)')), {"KUBECONFIG_FILE": kubeconfig}, ""),
    ):
        resize(world, size_told(**words))
        assert world.log == ["shutdown", "start"]
        assert said in " ".join(world.said)
        assert ("not asked to leave" in " ".join(world.said)) is bool(said)


def test_a_larger_disk_or_nothing_new_asks_no_pod_to_leave(kubeconfig: Path) -> None:
    for disk in (20, 40):
        world = Cluster(config=sizes(8, 8192), disk=disk * GIB)
        resize(world, size_told(KUBECONFIG_FILE=kubeconfig))
        assert world.log == []


def test_killed_anywhere_it_is_let_in_again_in_the_end(kubeconfig: Path) -> None:
    for die_after in range(1, 30):
        world = a_worker(die_after=die_after)
        killed = False
        try:
            resize(world, size_told(KUBECONFIG_FILE=kubeconfig))
            node(world, kubeconfig).come_back()
        except Killed:
            killed = True
        world.die_after = None
        resize(world, size_told(KUBECONFIG_FILE=kubeconfig))
        node(world, kubeconfig).come_back()
        assert world.live is not None
        assert (world.live.cores, world.state) == (8, "running")
        assert (world.unschedulable, world.annotations) == (False, {}), die_after
        if not killed:
            return
    raise AssertionError("it was never through")


def test_the_wait_for_a_worker_lets_its_pods_in(told: dict[str, str], kubeconfig: Path) -> None:  # noqa: F811
    world = a_worker(unschedulable=True, annotations={DRAINED: "true"})
    guest = Guest()
    world.ssh, guest.world = guest.answer, world
    assert wait_ready(world, {**told, "KUBECONFIG_FILE": str(kubeconfig)}) == "gpu-1 is ready at 192.0.2.7"
    assert not world.unschedulable
    world = a_worker(unschedulable=True, annotations={DRAINED: "true"}, wait=Done(1, "", "error: timed out waiting"))
    world.ssh, guest.world = guest.answer, world
    said = wait_ready(world, {**told, "KUBECONFIG_FILE": str(kubeconfig)})
    assert "gpu-1: its node is not Ready after 600 s, so no pods are let onto it yet: error: timed out" in said


def test_a_new_disk_is_not_waited_for_as_the_node_that_was_drained(told: dict[str, str], kubeconfig: Path) -> None:  # noqa: F811
    world, guest = a_worker(unschedulable=True, annotations={DRAINED: "true"}), Guest()
    world.ssh, guest.world = lambda command: Done(1) if command == NODE else guest.answer(command), world
    assert wait_ready(world, {**told, "KUBECONFIG_FILE": str(kubeconfig)}) == "gpu-1 is ready at 192.0.2.7"
    assert world.log == []


# ---- deletion --------------------------------------------------------------------------------------------------------


def goes(world: Cluster, kubeconfig: Path, **more: str) -> str:
    return leave.goes(world, {**TOLD, "KUBECONFIG_FILE": str(kubeconfig), **more})


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command line of the engine above this process; it may be changed."""
    words = ["pulumi", "up"]
    monkeypatch.setattr(leaving, "running_update", lambda: Update("this boot", 7, 7))
    monkeypatch.setattr(leaving, "command_line", lambda _: words)
    return words


def test_the_pods_leave_before_the_vm_is_deleted(kubeconfig: Path, engine: list[str]) -> None:
    world = a_worker()
    assert leave.stays(world, dict(TOLD)) == "gpu-1 is drained before it goes"
    assert world.log == []
    assert goes(world, kubeconfig) == "gpu-1 goes: its pods have left"
    assert world.log == ["annotate", "drain"]


def test_pods_that_do_not_go_keep_the_vm_from_being_deleted(kubeconfig: Path, engine: list[str]) -> None:
    world = a_worker(drain=BUDGET)
    with pytest.raises(ScriptError) as caught:
        goes(world, kubeconfig)
    assert "so it was not deleted: error: Cannot evict pod" in str(caught.value)
    assert "or let it go with its pods on it: CLOUD_WITHOUT_DRAIN=gpu-1 in the environment" in str(caught.value)
    left = goes(world, kubeconfig, CLOUD_WITHOUT_DRAIN="gpu-1")
    assert (left, world.log.count("drain")) == ("gpu-1 goes with its pods on it, as it was told to", 1)


def test_nobody_is_asked_to_leave_where_nothing_would_end_a_pod(kubeconfig: Path, engine: list[str]) -> None:
    refused = Done(1, "", "dial tcp: connection refused")
    for world in (a_worker(state="shut off"), a_worker(state=None), a_worker(ready=False), a_worker(api=refused)):
        assert goes(world, kubeconfig).startswith("gpu-1 ")
        assert world.log == []
    world = a_worker(drain=BUDGET, ends=True)
    assert goes(world, kubeconfig) == "gpu-1 goes: its node, or the cluster, has gone meanwhile"


def test_a_whole_stack_goes_without_a_drain(kubeconfig: Path, engine: list[str]) -> None:
    world = a_worker(drain=BUDGET)
    engine[:] = ["pulumi", "destroy", "--yes"]
    assert goes(world, kubeconfig) == "gpu-1 goes with the whole stack"
    engine[:] = ["pulumi", "destroy", "--target", "urn"]
    with pytest.raises(ScriptError):
        goes(world, kubeconfig)
