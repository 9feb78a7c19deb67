"""No update takes away more control planes at once than etcd bears, however it would do so."""

# ruff: noqa: E501 - messages stand as they are printed

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as budget
from hypothesis import strategies as st

from cluster.budget import PlanRefusedError, refuse
from cluster.budget.errors import QuorumLossError
from cluster.quorum import pins, quorum
from cluster.standing import Standing
from cluster.vm import pinning
from tests.cluster.vms import EARLIER, NOW, judged, live, planned, stack

OLD = {**NOW, "base": EARLIER}


def test_vms_that_stay_as_they_are_say_nothing(tmp_path: Path) -> None:
    plan = stack(tmp_path)
    assert judged(plan, live(plan)) == []


def test_a_first_update_has_no_quorum_to_lose(tmp_path: Path) -> None:
    plan = stack(tmp_path)
    gone: Any = dict.fromkeys(("control_1", "control_2", "control_3", "worker_1"))
    assert judged(plan, live(plan, **gone)) == []


def test_a_new_image_for_three_control_planes_at_once(tmp_path: Path) -> None:
    plan = stack(tmp_path)
    assert judged(plan, live(plan, OLD)) == [
        "control planes control-1, control-2, control-3 would go at once (control-1 has image 000000000000, aaaaaaaaaaaa is"
        " planned; control-2 has image 000000000000, aaaaaaaaaaaa is planned; control-3 has image 000000000000,"
        " aaaaaaaaaaaa is planned), but etcd with 3 members bears the loss of 1; let all but one stay on the image that they"
        " have (machines[control-1].image: 000000000000, machines[control-2].image: 000000000000,"
        " machines[control-3].image: 000000000000) and change one at a time; or, where the cluster may be lost, write"
        " kubernetes.expendable: [control-1, control-2, control-3]"
    ]


def test_one_at_a_time_with_the_others_pinned(tmp_path: Path) -> None:
    stay = {"image": EARLIER}
    plan = stack(tmp_path, control_2=stay, control_3=stay)
    assert judged(plan, live(stack(tmp_path), OLD)) == []
    assert judged(stack(tmp_path, control_3=stay), live(stack(tmp_path), OLD)) != []


def test_a_single_control_plane_is_all_there_is(tmp_path: Path) -> None:
    plan = stack(tmp_path, planes=1)
    assert judged(plan, live(plan, OLD)) == [
        "control plane control-1 would go at once (control-1 has image 000000000000, aaaaaaaaaaaa is planned), but etcd with"
        " 1 member bears the loss of 0; keep control-1 as it is (machines[].image: 000000000000), or where the cluster may"
        " be lost, write kubernetes.expendable: [control-1]"
    ]


def test_who_is_named_expendable_may_go_and_the_name_is_to_be_taken_out_again(tmp_path: Path) -> None:
    plan = stack(tmp_path, planes=1)
    named = plan.model_copy(update={"kubernetes": plan.kubernetes.model_copy(update={"expendable": ("control-1",)})})
    assert judged(named, live(plan, OLD)) == []
    assert judged(named, live(plan)) == [
        "kubernetes.expendable names control-1, and no control plane has to go; take it out, so that it covers no later"
        " mistake"
    ]


def test_consent_to_one_is_no_consent_to_two(tmp_path: Path) -> None:
    plan = stack(tmp_path)
    named = plan.model_copy(update={"kubernetes": plan.kubernetes.model_copy(update={"expendable": ("control-1",)})})
    assert len(judged(named, live(plan, OLD))) == 1


def test_another_shape_is_a_replacement_too(tmp_path: Path) -> None:
    uefi = {"firmware": "uefi"}
    plan = stack(tmp_path, control_1=uefi, control_2=uefi)
    said = judged(plan, live(stack(tmp_path)))
    assert len(said) == 1
    assert "control-1 differs in what only a replacement can change" in said[0]
    assert "change one at a time, each in an update of its own" in said[0]
    assert judged(stack(tmp_path, control_1=uefi), live(stack(tmp_path))) == []


def test_a_vm_that_does_not_say_what_it_was_made_as_counts_as_one_to_be_replaced(tmp_path: Path) -> None:
    plan = stack(tmp_path)
    bare: Any = {"image": None, "shape": None}
    assert judged(plan, live(plan, control_1=bare)) == []
    assert "has image unknown" in judged(plan, live(plan, control_1=bare, control_2=bare))[0]


def test_two_that_are_not_planned_any_more(tmp_path: Path) -> None:
    said = judged(stack(tmp_path, planes=1), live(stack(tmp_path, planes=3)))
    assert "control planes control-2, control-3 would go at once (control-2 is not planned any more;" in said[0]
    assert judged(stack(tmp_path, planes=3), live(stack(tmp_path, planes=3))) == []


def test_one_of_three_may_go(tmp_path: Path) -> None:
    assert judged(stack(tmp_path, planes=2), live(stack(tmp_path, planes=3))) == []


def test_five_bear_two(tmp_path: Path) -> None:
    before = live(stack(tmp_path, planes=5))
    assert judged(stack(tmp_path, planes=3), before) == []
    assert len(judged(stack(tmp_path, planes=2), before)) == 1


def test_workers_may_go_as_they_like(tmp_path: Path) -> None:
    plan = stack(tmp_path)
    assert judged(plan, live(plan, worker_1={"image": EARLIER})) == []


def test_a_member_that_is_off_has_gone_already(tmp_path: Path) -> None:
    plan = stack(tmp_path)
    said = judged(plan, live(plan, control_1={"image": EARLIER}, control_2={"state": "shut-off"}))
    assert "control-2 is not running as it is" in said[0]
    # The one that is off may be made anew: the other two carry on.
    assert judged(plan, live(plan, control_2={"state": "shut-off", "image": EARLIER})) == []


def test_a_member_that_was_deleted_behind_our_back_has_gone_already(tmp_path: Path) -> None:
    plan = stack(tmp_path)
    Standing.of(plan, "prod", live(plan)).record(plan, planned(plan))
    assert judged(plan, live(plan, control_2=None)) == []
    said = judged(plan, live(plan, control_1={"image": EARLIER}, control_2=None))
    assert "bears the loss of 1; control-2 is not running as it is" in said[0]


def test_a_restart_meanwhile_would_be_one_too_many(tmp_path: Path) -> None:
    plan = stack(tmp_path)
    said = judged(plan, live(plan, control_1={"image": EARLIER}, control_2={"cores": 2}))
    assert "control-2 would be restarted with another size meanwhile" in said[0]
    smaller: Any = {"cores": 2}
    assert judged(plan, live(plan, control_1=smaller, control_2=smaller, control_3=smaller)) == []


SMALLER: Any = {"cores": 2}


def test_restarts_count_where_nothing_is_made_anew(tmp_path: Path) -> None:
    plan = stack(tmp_path)
    said = judged(plan, live(plan, control_1={"state": "shut-off"}, control_2=SMALLER, control_3=SMALLER))
    assert said == [
        "control planes control-2, control-3 would be restarted with another size, but etcd with 3 members bears the loss"
        " of 1; control-1 is not running as it is; leave the sizes as they are until control-1 can be used again; or,"
        " where the cluster may be lost, write kubernetes.expendable: [control-2, control-3]"
    ]
    # One that is off is started with its new size, and the others stay on.
    assert judged(plan, live(plan, control_1={"state": "shut-off", **SMALLER})) == []


def test_restarts_count_beside_a_member_that_was_deleted_behind_our_back(tmp_path: Path) -> None:
    plan = stack(tmp_path)
    Standing.of(plan, "prod", live(plan)).record(plan, planned(plan))
    (said,) = judged(plan, live(plan, control_1=None, control_2=SMALLER))
    assert said.startswith("control plane control-2 would be restarted with another size")
    assert "control-1 is not running as it is" in said


def named(plan: Any, *names: str) -> Any:
    return plan.model_copy(update={"kubernetes": plan.kubernetes.model_copy(update={"expendable": names})})


def test_consent_has_to_name_those_that_are_restarted_too(tmp_path: Path) -> None:
    plan = stack(tmp_path)
    off = live(plan, control_1={"state": "shut-off"}, control_2=SMALLER, control_3=SMALLER)
    assert judged(named(plan, "control-2", "control-3"), off) == []
    assert len(judged(named(plan, "control-2"), off)) == 1
    both = live(plan, control_1={"image": EARLIER}, control_2=SMALLER)
    assert "write kubernetes.expendable: [control-1, control-2]" in judged(named(plan, "control-1"), both)[0]
    assert judged(named(plan, "control-1", "control-2"), both) == []


@pytest.mark.parametrize("planes", [1, 2])
def test_a_cluster_that_bears_nothing_may_change_its_size_and_is_told_what_that_means(
    tmp_path: Path, planes: int
) -> None:
    plan = stack(tmp_path, planes=planes)
    seen = live(plan, control_1=SMALLER)
    (finding,) = quorum(plan, planned(plan), Standing.of(plan, "prod", seen))
    assert finding.severity == "warn"
    assert "the Kubernetes API is away meanwhile" in str(finding)


def test_vms_of_others_do_not_count(tmp_path: Path) -> None:
    plan = stack(tmp_path, planes=1)
    assert judged(plan, live(plan, control_1={"owner": "cloud/dev", "image": EARLIER})) == []


def test_a_control_plane_that_moves_to_another_host_goes_first(tmp_path: Path) -> None:
    plan = stack(tmp_path, planes=1)
    hosts = [*plan.hosts, plan.hosts[0].model_copy(update={"name": "other", "uri": "qemu+ssh://other/system"})]
    moved = [
        each.model_copy(update={"host": "other" if each.role == "control-plane" else "box"}) for each in plan.machines
    ]
    target = plan.model_copy(update={"hosts": tuple(hosts), "machines": tuple(moved)})
    here = plan.model_copy(
        update={"hosts": tuple(hosts), "machines": tuple(m.model_copy(update={"host": "box"}) for m in plan.machines)}
    )
    assert "control-1 moves to host other" in judged(target, live(here))[0]


def test_the_refusal_is_an_error_of_its_kind(tmp_path: Path) -> None:
    plan = stack(tmp_path, planes=1)
    findings = quorum(plan, planned(plan), Standing.of(plan, "prod", live(plan, OLD)))
    with pytest.raises(QuorumLossError):
        refuse(findings)
    assert issubclass(QuorumLossError, PlanRefusedError)


kept = st.sampled_from(
    ["stays", "other image", "other shape", "gone from the plan", "off", "off and other image", "resized"]
)


def judged_as(plan: Any, seen: Any, severity: str) -> list[str]:
    findings = quorum(plan, planned(plan), Standing.of(plan, "prod", seen))
    return [str(each) for each in findings if each.severity == severity]


@given(st.lists(kept, min_size=1, max_size=7))
@budget(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_let_pass_keeps_more_than_half_of_the_members_running(tmp_path: Path, fates: list[str]) -> None:
    before = stack(tmp_path, planes=len(fates))
    changes: Any = {}
    for number, fate in enumerate(fates, 1):
        change: dict[str, Any] = (
            {"image": EARLIER}
            if "image" in fate
            else {"shape": EARLIER}
            if "shape" in fate
            else SMALLER
            if fate == "resized"
            else {}
        )
        changes[f"control_{number}"] = {**change, **({"state": "shut-off"} if fate.startswith("off") else {})}
    left = [m for m, fate in zip(before.machines, [*fates, "stays"], strict=True) if fate != "gone from the plan"]
    plan = before.model_copy(update={"machines": tuple(left)})
    said = judged_as(plan, live(before, **changes), "refuse")
    taken = any(fate not in ("stays", "off") for fate in fates)
    # Of those that get another size one is away at a time.
    resized = fates.count("resized")
    quorate = fates.count("stays") + max(resized - 1, 0) > len(fates) / 2
    unavoidable = len(fates) <= 2 and set(fates) <= {"stays", "resized"}
    assert bool(said) == (taken and not quorate and not unavoidable)


# ---- host CPUs -------------------------------------------------------------------------------------------------------


def test_a_host_cpu_that_is_not_there_cannot_be_pinned(tmp_path: Path) -> None:
    plan = stack(tmp_path, planes=1, control_1={"cpu_pinning": "2-7"})
    seen = live(plan)
    assert pinning(plan, seen) == []  # nobody knows how many there are
    cpu = seen["box"].cpu.model_copy(update={"threads": 6})
    few = {"box": seen["box"].model_copy(update={"cpu": cpu})}
    assert [str(each) for each in pinning(plan, few)] == [
        "vm control-1 is pinned to CPU 6, 7 of host box, which has 0 to 5; write machines[control-1].cpu_pinning from those;"
        " which share a core: lscpu -e"
    ]


# ---- pins ------------------------------------------------------------------------------------------------------------


def pinned(plan: Any, seen: Any) -> list[str]:
    return [str(each) for each in pins(plan, Standing.of(plan, "prod", seen), NOW)]


def test_an_image_that_a_vm_of_the_host_was_made_from_is_there(tmp_path: Path) -> None:
    plan = stack(tmp_path, control_1={"image": EARLIER})
    assert pinned(plan, live(stack(tmp_path), OLD)) == []
    assert pinned(stack(tmp_path, control_1={"image": NOW["base"]}), live(stack(tmp_path))) == []


def test_an_image_that_nobody_has_cannot_be_pinned(tmp_path: Path) -> None:
    plan = stack(tmp_path, control_1={"image": "123456789abc"})
    assert pinned(plan, live(stack(tmp_path))) == [
        "vm control-1 is to stay on image 123456789abc, which no VM of host box was made from (images there:"
        " aaaaaaaaaaaa); write machines[control-1].image: one of these, or leave it out for today's image"
    ]
