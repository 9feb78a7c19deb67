"""What of the wanted workers is missing: new, made differently, older, unwanted; nothing healthy is rebuilt."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.steps.context import Context
from cluster.steps.nodes import Installed, Node, Standing, mark, read, versions, work
from tests.components.samples import settings

VERSION = "1.34.3"


def node(name: str, made: str = "m", **more: Any) -> Node:
    return Node(name, **({"ready": True, "version": VERSION, "role": "worker", "made": made} | more))


def standing(*nodes: Node, **versions: str) -> Standing:
    found = {each.name: each.version for each in nodes} | {
        key.replace("_", "-"): value for key, value in versions.items()
    }
    return Standing(on_hosts(found), {each.name: each for each in nodes})


def on_hosts(found: Mapping[str, str]) -> dict[str, Installed]:
    return {name: Installed(version) for name, version in found.items()}


def test_what_the_hosts_tell_is_read() -> None:
    told = {
        "control-1": {
            "installed": {"kubernetes": "v1.34.3+k3s1", "api": "1.34.1"},
            "nodes": [{"name": "worker-1", "ready": True, "version": "v1.34.3", "role": "worker", "made": "abc"}],
        },
        "worker-2": {"installed": {"kubernetes": ""}},
        "worker-3": {},
    }
    found = read(told)
    assert found.hosts == {"control-1": Installed("1.34.3", "1.34.1"), "worker-2": Installed(), "worker-3": Installed()}
    assert found.nodes["worker-1"] == Node("worker-1", True, "1.34.3", "worker", "abc")


def test_a_worker_that_is_as_it_should_be_is_left_alone() -> None:
    assert work({"worker-1": "m"}, VERSION, standing(node("worker-1"))).nothing


def test_only_the_new_worker_is_touched() -> None:
    todo = work({"worker-1": "m", "worker-2": "n"}, VERSION, standing(node("worker-1"), worker_2=""))
    assert (todo.join, todo.again, todo.upgrade, todo.remove) == (("worker-2",), (), (), ())


def test_one_made_differently_or_not_ready_is_configured_again() -> None:
    there = standing(node("worker-1", made="old"), node("worker-2", ready=False), node("worker-3"))
    assert work(dict.fromkeys(("worker-1", "worker-2", "worker-3"), "m"), VERSION, there).again == (
        "worker-1",
        "worker-2",
    )


def test_an_older_one_is_upgraded() -> None:
    assert work({"worker-1": "m"}, VERSION, standing(node("worker-1", version="1.33.9"))).upgrade == ("worker-1",)
    assert work({"worker-1": "m"}, "1.34.10", standing(node("worker-1", version="1.34.9"))).upgrade == ("worker-1",)


def test_ours_that_is_not_wanted_goes_and_others_stay() -> None:
    there = standing(
        node("worker-1"), node("worker-9"), node("theirs", role=""), node("control-1", role="control-plane")
    )
    assert work({"worker-1": "m"}, VERSION, there).remove == ("worker-9",)


def test_a_vm_made_anew_under_its_old_name_joins_again() -> None:
    there = Standing({"worker-1": Installed()}, {"worker-1": node("worker-1", ready=False)})
    assert there.versions("worker-1") == []
    assert work({"worker-1": "other"}, VERSION, there).join == ("worker-1",)


NAMES = st.sampled_from([f"worker-{n}" for n in range(5)])


@given(
    st.dictionaries(NAMES, st.sampled_from("mn")),
    st.dictionaries(NAMES, st.tuples(st.booleans(), st.sampled_from("mn"), st.sampled_from([VERSION, "1.33.1"]))),
    st.sets(NAMES),
)
def test_each_worker_is_in_one_list_at_most_and_the_work_ends(
    wanted: dict[str, str], there: dict[str, tuple[bool, str, str]], installed: set[str]
) -> None:
    nodes = {
        name: node(name, ready=ready, made=made, version=version) for name, (ready, made, version) in there.items()
    }
    found = {name: Installed(each.version) for name, each in nodes.items() if name in installed}
    todo = work(wanted, VERSION, Standing(found, nodes))
    every = [*todo.join, *todo.again, *todo.upgrade, *todo.remove]
    assert len(every) == len(set(every))
    assert set(every) <= set(wanted) | set(nodes)
    after = {name: node(name, made=made) for name, made in wanted.items()}
    assert work(wanted, VERSION, Standing(dict.fromkeys(after, Installed(VERSION)), after)).nothing


def test_the_oldest_of_several_is_first() -> None:
    there = Standing(on_hosts({"a": "1.34.10", "b": "1.34.9", "c": ""}), {})
    assert versions(there, ["a", "b", "c"]) == ["1.34.9", "1.34.10"]
    assert versions(there, ["c"]) == []


@pytest.mark.parametrize(
    ("kubelet", "running", "api"), [("1.34.3", "1.33.7", ""), ("1.34.3", "1.34.3", "1.33.7"), ("1.33.7", "1.33.7", "")]
)
def test_one_that_was_upgraded_by_half_is_not_upgraded(kubelet: str, running: str, api: str) -> None:
    there = Standing({"worker-1": Installed(kubelet, api)}, {"worker-1": node("worker-1", version=running)})
    assert there.versions("worker-1")[0] == "1.33.7"
    assert work({"worker-1": "m"}, VERSION, there).upgrade == ("worker-1",)


def test_one_whose_upgrade_was_begun_and_not_ended_is_gone_on_with() -> None:
    assert work({"worker-1": "m"}, VERSION, standing(node("worker-1", upgrading=True))).upgrade == ("worker-1",)


def test_a_mark_is_of_the_vm_and_of_its_variables(tmp_path: Path) -> None:
    one = Context("prod", tmp_path, tmp_path, settings(), {"worker-1": "vm 1", "worker-2": "vm 2"})
    other = Context("prod", tmp_path, tmp_path, settings(), {"worker-1": "vm 1", "worker-2": "vm 3"})
    files = {"group": "a", "host": {"x": 1}}
    assert mark(one, files, "worker-1") == mark(other, files, "worker-1")
    assert mark(one, files, "worker-2") != mark(other, files, "worker-2")
    assert mark(one, files, "worker-1") != mark(one, files | {"host": {"x": 2}}, "worker-1")
