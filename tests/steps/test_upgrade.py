"""An upgrade by Kubespray that is killed at any point, and run again: it comes to its end, and says so only then."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from cluster.steps import steps
from cluster.steps.errors import StepError
from tests.steps.conftest import Cluster
from tests.steps.kubespray import Host, KilledError, Site

Make = Callable[..., Cluster]
BEFORE, WANTED = "1.33.7", "1.34.3"


@pytest.fixture
def made(cluster: Make) -> Cluster:
    return cluster()


def site(made: Cluster, **more: int) -> Site:
    machines = made.stack.machines
    hosts = {
        each.name: Host(each.role, BEFORE, BEFORE, BEFORE if each.role == "control-plane" else "") for each in machines
    }
    return Site(hosts, WANTED, ["control-1"], ["control-1"], ["control-1"], **more)


def run(made: Cluster, there: Site) -> None:
    """Run both steps, as an update does: the second one only after the first."""
    for name in ("control-plane", "workers"):
        steps.run(name, made.context, lambda _: None, prepare=made.prepare, play=there.play)


def whole(there: Site) -> bool:
    return all(
        (each.kubelet, each.running, each.api or WANTED, each.cordoned) == (WANTED, WANTED, WANTED, False)
        and set(each.notes) <= {"made"}
        for each in there.hosts.values()
    )


def test_it_may_be_killed_anywhere(made: Cluster) -> None:
    for kill_after in count(1):
        there = site(made, kill_after=kill_after)
        try:
            run(made, there)
        except KilledError:
            there.kill_after = 0
            run(made, there)
        else:
            assert there.done < kill_after
            break
        assert whole(there), f"killed at {kill_after}"
    assert kill_after > 20


def test_it_may_be_killed_again_and_again(made: Cluster) -> None:
    there, tries = site(made), 0
    while not whole(there):
        tries += 1
        there.done, there.kill_after = 0, 2 + tries
        try:
            run(made, there)
        except KilledError:
            continue
    assert tries > 5


def test_a_node_that_somebody_else_has_cordoned_stays_so(made: Cluster) -> None:
    for kill_after in range(1, 15):
        there = site(made, kill_after=kill_after)
        there.hosts["worker-1"].cordoned = True
        try:
            run(made, there)
        except KilledError:
            there.kill_after = 0
            run(made, there)
        assert there.hosts["worker-1"].cordoned
        there.hosts["worker-1"].cordoned = False
        assert whole(there)


def test_an_older_version_is_refused_in_the_middle_too(made: Cluster, cluster: Make) -> None:
    there = site(made, kill_after=4)
    with pytest.raises(KilledError):
        run(made, there)
    assert {each.kubelet for each in there.hosts.values()} == {BEFORE, WANTED}
    back = cluster(kubernetes={"version": BEFORE})
    there.kill_after = there.done = 0
    with pytest.raises(StepError, match=rf"{BEFORE} is older than {WANTED}, which is installed"):
        run(back, there)
    assert there.done == 0
