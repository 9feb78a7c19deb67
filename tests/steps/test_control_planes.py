"""Control planes that come, go, or are made anew, under Kubespray: etcd's members are those that run, at any kill."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from cluster.steps import steps
from tests.components.samples import raw
from tests.steps.conftest import Cluster
from tests.steps.kubespray import Host, KilledError, Site

Make = Callable[..., Cluster]
VERSION = "1.34.3"
THREE = ["control-1", "control-2", "control-3"]


def stack(cluster: Make, names: list[str]) -> Cluster:
    """Return a stack with these control planes and one worker."""
    machines = raw()["machines"]
    plane, worker = machines[0], machines[1]
    planes = [{**plane, "name": name, "address": f"192.168.200.1{name[-1]}"} for name in names]
    network: dict[str, Any] = {"api_address": "192.168.200.5"} if len(names) > 1 else {}
    return cluster(machines=[*planes, worker], network=network)


def site(there: list[str], planned: list[str], **more: int) -> Site:
    hosts = {name: Host("control-plane", VERSION, VERSION, VERSION, etcd=True) for name in there}
    hosts |= {name: Host("control-plane", known=False) for name in planned if name not in there}
    hosts["worker-1"] = Host("worker", VERSION, VERSION)
    return Site(hosts, VERSION, planned, list(there), list(there), **more)


def update(made: Cluster, there: Site) -> None:
    steps.run("control-plane", made.context, lambda _: None, prepare=made.prepare, play=there.play)


def sound(there: Site) -> bool:
    planes = [there.hosts[name] for name in there.planned]
    return (
        sorted(there.members) == sorted(there.told) == sorted(there.planned)
        and all(each.etcd and each.known and each.api == VERSION and not each.cordoned for each in planes)
        and not any(each.known for name, each in there.hosts.items() if name not in (*there.planned, "worker-1"))
        and there.violations == []
    )


def everywhere(cluster: Make, there: list[str], planned: list[str], anew: str = "") -> None:
    """Carry a change out, killed after each doing and run again."""
    for kill_after in count(1):
        made, now = stack(cluster, planned), site(there, planned, kill_after=kill_after)
        if anew:
            now.hosts[anew].made_anew()
        try:
            update(made, now)
        except KilledError:
            now.kill_after = now.done = 0
            update(made, now)
        else:
            assert sound(now), (planned, now)
            assert kill_after > 5
            break
        assert sound(now), (kill_after, now)


@pytest.mark.parametrize("name", THREE)
def test_one_that_was_made_anew_joins_and_begins_no_cluster(cluster: Make, name: str) -> None:
    everywhere(cluster, THREE, THREE, anew=name)


@pytest.mark.parametrize("names", [[*THREE, "control-4", "control-5"], ["control-4", *THREE[:2]]])
def test_more_and_others(cluster: Make, names: list[str]) -> None:
    everywhere(cluster, THREE, names)


@pytest.mark.parametrize("left", [["control-1", "control-2", "control-5"], ["control-3", "control-4", "control-5"]])
def test_those_no_longer_wanted_leave_etcd_and_the_api(cluster: Make, left: list[str]) -> None:
    everywhere(cluster, [*THREE, "control-4", "control-5"], left)


def test_how_one_that_left_is_reached_is_remembered(cluster: Make) -> None:
    made, now = stack(cluster, THREE), site(THREE, THREE)
    update(made, now)
    fewer, now = stack(cluster, THREE[:1]), site(THREE, THREE[:1])
    from cluster.steps.inputs import inventory_files
    from cluster.steps.left import left, remember

    # As the step "inventory" does, before it writes the new one.
    files = inventory_files(made.stack)
    (fewer.folder / "inventory" / "hosts.yaml").write_text(files["hosts.yaml"])
    remember(fewer.folder, inventory_files(fewer.stack))
    assert set(left(fewer.folder)) == {"control-2", "control-3"}
    played: list[Any] = []

    def play(what: Any, watch: Any) -> Any:
        played.append(what)
        return now.play(what, watch)

    steps.run("control-plane", fewer.context, lambda _: None, prepare=fewer.prepare, play=play)
    (removal,) = [each.extra for each in played if each.playbook == "remove_nodes.yml"]
    assert removal["removed"] == ["control-2", "control-3"]
    assert removal["left"]["control-2"]["ansible_host"] == "192.168.200.12"
    assert "{{" not in str(removal["left"])
    assert left(fewer.folder) == {}
