"""GPU workers get another image one at a time: by pins, or all at once with consent."""

# ruff: noqa: E501 - messages stand as they are printed

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as budget
from hypothesis import strategies as st

from cluster.budget import refuse
from cluster.budget.errors import GPURolloutError, MixedPlanRefusedError
from cluster.rolling import held_back, rolling
from cluster.settings.model import Settings
from cluster.standing import Standing
from tests.cluster.vms import EARLIER, NOW, live, planned
from tests.components.samples import raw, settings

OLD = {**NOW, "base": EARLIER}


def stack(folder: Path, workers: int = 2, **changes: Any) -> Settings:
    """Return the sample with some GPU workers; ``changes`` by machine, names with underscores."""
    sections = raw()
    *others, first = sections["machines"]
    del first["gpus"]
    found = [{**first, "name": f"gpu-{n}", "address": f"192.168.200.{30 + n}"} for n in range(1, workers + 1)]
    sections["machines"] = [*others, *found]
    for machine in sections["machines"]:
        machine.update(changes.get(machine["name"].replace("-", "_"), {}))
    sections["state"] = str(folder / "state.json")
    return settings(sections)


def named(plan: Settings, *names: str) -> Settings:
    return plan.model_copy(update={"kubernetes": plan.kubernetes.model_copy(update={"expendable": names})})


def judged(plan: Settings, seen: Any, digests: Any = NOW) -> list[str]:
    return [str(each) for each in rolling(plan, planned(plan, digests), Standing.of(plan, "prod", seen))]


def test_workers_that_stay_as_they_are_say_nothing(tmp_path: Path) -> None:
    plan = stack(tmp_path)
    assert judged(plan, live(plan)) == []


def test_another_image_for_both_at_once_is_refused(tmp_path: Path) -> None:
    plan = stack(tmp_path)
    assert judged(plan, live(plan, OLD)) == [
        "GPU workers gpu-1, gpu-2 would be made anew at once (gpu-1 has image 000000000000, aaaaaaaaaaaa is planned; gpu-2"
        " has image 000000000000, aaaaaaaaaaaa is planned), and the models on them with nowhere to go; let all but one stay"
        " on the image that they have (machines[gpu-1].image: 000000000000, machines[gpu-2].image: 000000000000) and change"
        " one at a time: each update checks CUDA on what it made; or, where all may be away, write kubernetes.expendable:"
        " [gpu-1, gpu-2]"
    ]


def test_the_image_with_the_driver_counts_as_the_base_image_does(tmp_path: Path) -> None:
    plan = stack(tmp_path)
    images = plan.images.model_copy(update={"gpu_worker": True, "use_gpu_worker": True})
    own = plan.model_copy(update={"images": images})
    earlier = {**NOW, "gpu-worker": EARLIER}
    (said,) = judged(own, live(own, earlier))
    assert "gpu-1 has image 000000000000, bbbbbbbbbbbb is planned" in said
    assert judged(plan, live(plan, earlier)) == []


def test_one_at_a_time_with_the_others_pinned(tmp_path: Path) -> None:
    stay = {"image": EARLIER}
    before = live(stack(tmp_path, workers=3), OLD)
    assert judged(stack(tmp_path, workers=3, gpu_2=stay, gpu_3=stay), before) == []
    (said,) = judged(stack(tmp_path, workers=3, gpu_3=stay), before)
    assert said.startswith("GPU workers gpu-1, gpu-2 would")


def test_the_only_one_may_go(tmp_path: Path) -> None:
    plan = stack(tmp_path, workers=1)
    assert judged(plan, live(plan, OLD)) == []


def test_consent_names_all_that_go_and_is_to_be_taken_out_again(tmp_path: Path) -> None:
    plan = stack(tmp_path)
    assert judged(named(plan, "gpu-1", "gpu-2"), live(plan, OLD)) == []
    assert len(judged(named(plan, "gpu-1"), live(plan, OLD))) == 1
    assert judged(named(plan, "gpu-1"), live(plan)) == [
        "kubernetes.expendable names gpu-1, and no GPU worker gets another image; take it out, so that it covers no later"
        " mistake"
    ]


def test_what_is_made_anew_for_another_reason_or_cannot_be_told_does_not_count(tmp_path: Path) -> None:
    plan = stack(tmp_path)
    shape: Any = {"shape": EARLIER}
    assert judged(plan, live(plan, gpu_1=shape, gpu_2=shape)) == []
    bare: Any = {"image": None, "shape": None}
    assert judged(plan, live(plan, gpu_1=bare, gpu_2=bare)) == []
    gone = plan.model_copy(update={"machines": plan.machines[:2]})
    assert judged(gone, live(plan, OLD)) == []


def test_workers_of_others_and_workers_without_gpus_do_not_count(tmp_path: Path) -> None:
    plan = stack(tmp_path)
    assert judged(plan, live(plan, OLD, gpu_1={"owner": "cloud/dev"})) == []
    more = stack(tmp_path, workers=1)
    assert judged(more, live(more, OLD)) == []


def test_it_is_said_beside_etcds_quorum_and_is_an_error_of_its_kind(tmp_path: Path) -> None:
    plan = stack(tmp_path)
    standing = Standing.of(plan, "prod", live(plan, OLD))
    findings = held_back(plan, planned(plan), standing, NOW)
    assert {each.code for each in findings} == {"quorum", "gpu-rollout"}
    with pytest.raises(MixedPlanRefusedError):
        refuse(findings)
    with pytest.raises(GPURolloutError):
        refuse(rolling(plan, planned(plan), standing))


fates = st.sampled_from(["stays", "other image", "other image, pinned", "other shape", "not there", "off, other image"])


@given(st.lists(fates, min_size=1, max_size=6), st.sets(st.integers(1, 6)))
@budget(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_let_pass_gives_one_worker_another_image_or_those_that_are_named(
    tmp_path: Path, fates: list[str], names: set[int]
) -> None:
    changes: dict[str, Any] = {}
    pins: dict[str, Any] = {}
    for number, fate in enumerate(fates, 1):
        name = f"gpu_{number}"
        changes[name] = (
            None
            if fate == "not there"
            else {
                **({"image": EARLIER} if "image" in fate else {}),
                **({"shape": EARLIER} if "shape" in fate else {}),
                **({"state": "shut-off"} if "off" in fate else {}),
            }
        )
        pins[name] = {"image": EARLIER} if "pinned" in fate else {}
    plan = named(stack(tmp_path, len(fates), **pins), *(f"gpu-{n}" for n in sorted(names)))
    seen = live(stack(tmp_path, len(fates)), **changes)
    findings = rolling(plan, planned(plan), Standing.of(plan, "prod", seen))
    go = {n for n, fate in enumerate(fates, 1) if "image" in fate and "pinned" not in fate}
    assert any(each.severity == "refuse" for each in findings) == (len(go) > 1 and not go <= names)
