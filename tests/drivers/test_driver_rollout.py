"""Drivers change one node at a time; whatever breaks, and wherever it is killed, all nodes end with one driver."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.drivers.kubectl import Kubectl
from cluster.drivers.model import HOLD, OURS
from cluster.drivers.rollout import Drivers, Wish
from cluster.drivers.tools import DriverError
from tests.drivers.gpu_world import NEW, OLD, OTHER, Killed, Machine, World

IMAGE = "nvcr.io/nvidia/k8s/cuda-sample:vectoradd-cuda12.5.0-ubuntu22.04"


def world(*cards: int, **more: object) -> World:
    """A cluster that stands with the old driver, with these cards in its nodes."""
    machines = {f"gpu-{number}": Machine(count) for number, count in enumerate(cards or (1, 2), 1)}
    return World(machines, **more)  # type: ignore[arg-type]


def drivers(there: World, version: str | None = NEW) -> Drivers:
    wish = Wish({name: machine.cards for name, machine in there.machines.items()}, version, IMAGE)
    return Drivers(Kubectl(there, ".cloud/prod/kubeconfig"), wish)


def helm(there: World, version: str = NEW) -> World:
    """What the release's update does before the rollout: the ClusterPolicy names the new driver."""
    there.policy, there.template_at = version, there.time + there.lag
    return there


def versions(there: World) -> set[str]:
    return {machine.driver for machine in there.machines.values()}


def in_service(there: World) -> bool:
    return all(HOLD not in each.annotations and not each.cordoned for each in there.machines.values())


# ---- a rollout that goes well ----------------------------------------------------------------------------------------


def test_every_node_gets_the_new_driver_and_cuda_is_seen_to_work() -> None:
    there = helm(world(1, 2))
    done = drivers(there).bring()
    assert [str(each) for each in done] == [
        "gpu-1: 1 GPU, driver 595.91.07, CUDA works",
        "gpu-2: 2 GPUs, driver 595.91.07, CUDA works",
    ]
    assert versions(there) == {NEW}
    assert there.proven == {"gpu-1": NEW, "gpu-2": NEW}
    assert in_service(there)
    assert there.renewed == [("gpu-1", NEW), ("gpu-2", NEW)]
    assert there.said[0] == f"driver {NEW} for gpu-1, gpu-2, one after the other; before: {OLD}"


def test_a_second_run_changes_nothing() -> None:
    there = helm(world(1, 1))
    drivers(there).bring()
    there.renewed.clear()
    before = there.evicted[:]
    assert all(each.works for each in drivers(there).bring())
    assert (there.renewed, there.evicted) == ([], before)


def test_models_move_to_the_other_node_and_their_budget_holds() -> None:
    there = world(2, 2, budgets={"assistant": 1})
    there.add_model("assistant", node="gpu-1")
    there.add_model("assistant", node="gpu-2")
    drivers(helm(there)).bring()
    assert versions(there) == {NEW}
    there.sleep(10)
    assert [pod.phase for pod in there.pods.values() if pod.app] == ["Running", "Running"]


@pytest.mark.parametrize("compile_s", [0.0, 40.0])
def test_a_driver_manager_that_uncordons_the_node_does_not_let_models_in_before_the_check(compile_s: float) -> None:
    there = world(1, 1, meddling=True, compile_s=compile_s)
    there.add_model("assistant", node="gpu-1")
    there.add_model("assistant", node="gpu-2")
    drivers(helm(there)).bring()
    settled(there, NEW)
    assert len(there.evicted) == 2 or compile_s == 0


def test_a_node_that_somebody_else_has_cordoned_stays_so() -> None:
    there = world(1, 1)
    there.machines["gpu-1"].cordoned = True
    drivers(helm(there)).bring()
    assert (there.machines["gpu-1"].cordoned, there.machines["gpu-1"].annotations) == (True, {})
    assert not there.machines["gpu-2"].cordoned


def test_the_first_driver_is_waited_for_and_checked_with_nothing_to_go_back_to() -> None:
    there = world(1, 1, policy=NEW, template=NEW)
    for machine in there.machines.values():
        machine.driver, machine.ready_at = NEW, there.time + 600
    assert all(each.works for each in drivers(there).bring())
    assert there.renewed == []
    there.broken = {("gpu-2", NEW)}
    with pytest.raises(
        DriverError, match=r"gpu-2: CUDA does not work: .*unknown error(.|\n)*gpu-1: 1 GPU, .* CUDA works"
    ):
        drivers(there).bring()
    assert there.policy == NEW


def test_a_driver_in_the_image_is_checked_and_nothing_else() -> None:
    there = world(1, 2)
    assert [str(each) for each in drivers(there, None).bring()] == [
        "gpu-1: 1 GPU, driver of its image, CUDA works",
        "gpu-2: 2 GPUs, driver of its image, CUDA works",
    ]
    assert there.maps == {}


def test_a_node_that_a_rollout_left_is_let_in_again_where_the_image_has_the_driver_now() -> None:
    there = world(1)
    there.machines["gpu-1"].annotations[HOLD], there.machines["gpu-1"].cordoned = OURS, True
    drivers(there, None).bring()
    assert in_service(there)


def test_a_node_full_of_models_is_not_emptied_for_a_mere_check() -> None:
    there = world(1, 1)
    there.add_model("assistant", node="gpu-1")
    done = drivers(there, OLD).bring()
    assert [each.works for each in done] == [False, True]
    assert "busy" in str(done[0])
    assert there.evicted == []


# ---- and one that does not -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", ["gpu-1", "gpu-2", "gpu-3"])
@pytest.mark.parametrize("how", ["broken", "unstartable"])
def test_where_one_node_does_not_do_with_it_all_go_back(broken: str, how: str) -> None:
    there = helm(world(1, 1, 1, **{how: {(broken, NEW)}}))
    with pytest.raises(DriverError) as error:
        drivers(there).bring()
    said = str(error.value)
    assert said.startswith(f"driver {NEW} does not do on {broken}: ")
    assert f'write gpu_operator.driver_version: "{OLD}"' in said
    assert f"the earlier driver {OLD} is on every GPU node again" in said
    assert (versions(there), there.policy) == ({OLD}, OLD)
    assert set(there.proven.values()) == {OLD}
    assert in_service(there)
    untouched = {"gpu-1", "gpu-2", "gpu-3"} - {name for name, _ in there.renewed}
    assert untouched == {name for name in there.machines if name > broken}


def test_the_next_update_tries_once_more() -> None:
    there = helm(world(1, 1, broken={("gpu-2", NEW)}))
    with pytest.raises(DriverError):
        drivers(there).bring()
    there.broken = set()
    drivers(there).bring()
    assert (versions(there), there.policy) == ({NEW}, NEW)


def test_the_earlier_version_in_the_settings_is_the_end_of_it() -> None:
    there = helm(world(1, 1, broken={("gpu-2", NEW)}))
    with pytest.raises(DriverError):
        drivers(there).bring()
    there.renewed.clear()
    drivers(helm(there, OLD), OLD).bring()
    assert there.renewed == []
    assert in_service(there)


def test_a_driver_too_old_for_the_container_names_its_remedy() -> None:
    there = world(1, 1)
    there.proven = {"gpu-1": OLD, "gpu-2": OLD}
    with pytest.raises(DriverError, match=r"is insufficient.*set gpu_operator.driver_version to 535[.0-9]* or newer"):
        drivers(helm(there, "470.256.02"), "470.256.02").bring()
    assert versions(there) == {OLD}


def test_a_failure_in_going_back_tells_what_stands_where_and_is_gone_on_with() -> None:
    there = helm(world(1, 1, 1, broken={("gpu-2", NEW), ("gpu-2", OLD)}))
    with pytest.raises(DriverError) as error:
        drivers(there).bring()
    assert "\n".join(str(error.value).splitlines()[1:]).replace(" | ", " ") == (
        f"and going back to {OLD} has stopped: gpu-2: CUDA does not work: [Vector addition of 50000 elements] Failed to"
        " allocate device vector A (error code unknown error)!; see kubectl -n gpu-operator describe pod, and the"
        " driver's log on that node: kubectl -n gpu-operator get pods -o wide --field-selector spec.nodeName=gpu-2\n"
        f"the operator is told {OLD}\n"
        f"  gpu-1: driver {NEW}, in service\n"
        f"  gpu-2: driver {OLD}, out of service (cordoned)\n"
        f"  gpu-3: driver {OLD}, in service\n"
        f"mend that and run the same update again, with {NEW} still in the settings: it goes on going back, and leaves"
        " alone what is in order"
    )
    there.broken = {("gpu-2", NEW)}
    with pytest.raises(DriverError, match=f"the earlier driver {OLD} is on every GPU node again"):
        drivers(there).bring()
    assert versions(there) == {OLD}
    assert in_service(there)


def test_a_disruption_budget_that_lets_none_go_is_the_reason_told() -> None:
    there = world(1, 1, budgets={"assistant": 2})
    there.add_model("assistant", node="gpu-1")
    there.add_model("assistant", node="gpu-2")
    with pytest.raises(DriverError, match=r"gpu-1: pods with GPUs have not left .*disruption budget"):
        drivers(helm(there)).bring()
    assert (versions(there), there.evicted) == ({OLD}, [])
    assert in_service(there)


def test_a_pod_that_nothing_would_make_again_is_told_of_before_anything_is_done() -> None:
    there = world(1, 1, bare={"assistant"})
    there.add_model("assistant", node="gpu-2")
    with pytest.raises(
        DriverError, match=r"gpu-2: pod models/assistant-1 holds 1 GPU, and nothing would make it again"
    ):
        drivers(helm(there)).bring()
    assert (there.renewed, there.maps) == ([], {})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda there: setattr(there.machines["gpu-2"], "ready", False), "GPU nodes that are not Ready: gpu-2"),
        (lambda there: setattr(there, "auto_upgrade", True), "changes drivers by itself"),
    ],
)
def test_what_is_not_fit_for_a_rollout_is_left_alone(change: Callable[[World], None], said: str) -> None:
    there = helm(world(1, 1))
    change(there)
    with pytest.raises(DriverError, match=said):
        drivers(there).bring()
    assert (there.renewed, there.maps) == ([], {})


def test_a_silent_api_is_asked_again_and_is_no_reason_to_go_back() -> None:
    there = helm(world(1, 1))
    there.silent = 3
    drivers(there).bring()
    assert versions(there) == {NEW}
    again = helm(world(1, 1))
    again.silent = 1000
    with pytest.raises(DriverError, match="the cluster does not answer: The connection"):
        drivers(again).bring()


def test_an_operator_that_does_not_follow_is_told_of() -> None:
    there = world(1, 1, lag=10_000.0)
    with pytest.raises(DriverError, match=r"DaemonSets name driver 580.173.02 after 300 s, not 595.91.07"):
        drivers(helm(there)).bring()
    assert there.renewed == []
    assert in_service(there)


# ---- killed anywhere -------------------------------------------------------------------------------------------------


def until_done(there: World, version: str) -> bool:
    """Run until it is not killed any more; return whether it ended well."""
    while True:
        try:
            drivers(there, version).bring()
        except Killed:
            continue
        except DriverError:
            return False
        else:
            return True


def settled(there: World, version: str) -> None:
    """Hold a cluster to how every rollout has to leave it."""
    assert (versions(there), there.policy) == ({version}, version)
    assert there.proven == dict.fromkeys(there.machines, version)
    assert in_service(there)
    # No node gets a driver twice. Killed after its last write, a rollout that went back is over, and the next one tries
    # once more.
    assert max(Counter(there.renewed).values(), default=0) <= max(there.closings, 1)
    assert not [pod for pod in there.pods.values() if not pod.app and pod.gone_at is None and pod.phase == "Running"]


KILLS = st.tuples(st.sampled_from(["before", "after"]), st.integers(1, 90))


@settings(max_examples=250)
@given(st.data())
def test_killed_at_any_calls_it_ends_all_new_or_all_old(data: st.DataObject) -> None:
    cards = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=4), "cards")
    names = [f"gpu-{number}" for number in range(1, len(cards) + 1)]
    bad = data.draw(st.sets(st.sampled_from(names), max_size=2), "bad")
    how = data.draw(st.sampled_from(["broken", "unstartable"]))
    there = world(
        *cards,
        **{how: {(name, NEW) for name in bad}},
        meddling=data.draw(st.booleans(), "meddling"),
        compile_s=data.draw(st.sampled_from([0.0, 40.0]), "compile"),
        kills=data.draw(st.lists(KILLS, max_size=4), "kills"),
    )
    for name in names:
        if data.draw(st.booleans(), f"model on {name}"):
            there.add_model("assistant", node=name)
    well = until_done(helm(there), NEW)
    assert well is not bool(bad)
    settled(there, NEW if well else OLD)


@settings(max_examples=150)
@given(st.data())
def test_another_wish_in_the_midst_is_followed_from_there(data: st.DataObject) -> None:
    broken = data.draw(st.sets(st.sampled_from([("gpu-2", NEW), ("gpu-3", OTHER)])), "broken")
    there = world(1, 2, 1, broken=broken, kills=[data.draw(KILLS, "kill")])
    with contextlib.suppress(Killed, DriverError):
        drivers(helm(there), NEW).bring()
    there.kills = data.draw(st.lists(KILLS, max_size=2), "kills")
    then = data.draw(st.sampled_from([OLD, NEW, OTHER]), "then")
    well = until_done(helm(there, then), then)
    assert well is not any(driver == then for _, driver in broken)
    settled(there, then if well else OLD)


def test_killed_between_any_two_calls_of_a_way_there_and_back() -> None:
    """Every place once, with models on all cards; it fails on the last node, so that there is most to take back."""
    for place in range(1, 400):
        for when in ("before", "after"):
            there = world(1, 1, broken={("gpu-2", NEW)}, kills=[(when, place)])
            there.add_model("assistant", node="gpu-1")
            there.add_model("assistant", node="gpu-2")
            assert not until_done(helm(there), NEW)
            settled(there, OLD)
            assert len(set(there.renewed)) == 4
        if there.kills:
            return
    raise AssertionError("it never ended")
