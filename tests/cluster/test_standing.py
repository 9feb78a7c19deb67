"""Which making of a VM is the current one, from live facts and a record that outlives runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster.problems import InputError
from cluster.standing import Standing, ready_mark, record_file
from tests.cluster.vms import live, planned, stack


def update(plan: Any, seen: Any) -> dict[str, int]:
    """Play what an update does with the record; return the number of each VM."""
    standing = Standing.of(plan, "prod", seen)
    numbers = {machine.name: standing.number("box", machine.name) for machine in plan.machines}
    standing.record(plan, planned(plan))
    return numbers


def ready(plan: Any, name: str, number: int) -> None:
    mark = ready_mark(plan, "prod", name)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(f"{number} aaaaaaaaaaaa pool\n")


NONE: Any = dict.fromkeys(("control_1", "control_2", "control_3", "worker_1"))


def test_a_vm_that_goes_and_comes_counts_one_further(tmp_path: Path) -> None:
    plan = stack(tmp_path, planes=1)
    assert update(plan, live(plan, **NONE)) == {"control-1": 1, "worker-1": 1}
    assert update(plan, live(plan)) == {"control-1": 1, "worker-1": 1}
    assert update(plan, live(plan, worker_1=None)) == {"control-1": 1, "worker-1": 2}
    # The update that was to make it was cut off: it is the same making that is still awaited.
    assert update(plan, live(plan, worker_1=None)) == {"control-1": 1, "worker-1": 2}
    assert update(plan, live(plan)) == {"control-1": 1, "worker-1": 2}
    assert update(plan, live(plan, worker_1=None)) == {"control-1": 1, "worker-1": 3}


def test_a_vm_that_was_ready_and_is_gone_before_any_update_saw_it(tmp_path: Path) -> None:
    plan = stack(tmp_path, planes=1)
    update(plan, live(plan, **NONE))
    ready(plan, "worker-1", 1)
    assert update(plan, live(plan, **NONE)) == {"control-1": 1, "worker-1": 2}
    # The note is of the first making: that the second was ready nobody has said.
    assert update(plan, live(plan, **NONE)) == {"control-1": 1, "worker-1": 2}


def test_a_preview_writes_nothing(tmp_path: Path) -> None:
    plan = stack(tmp_path)
    standing = Standing.of(plan, "prod", live(plan))
    assert standing.number("box", "worker-1") == 1
    assert list(tmp_path.iterdir()) == []


def test_facts_from_a_file_that_shows_no_vm_of_ours_do_not_say_that_one_is_gone(tmp_path: Path) -> None:
    plan = stack(tmp_path, planes=1)
    update(plan, live(plan))
    filed = plan.model_copy(update={"hosts": (plan.hosts[0].model_copy(update={"facts": "box.yaml"}),)})
    assert update(filed, live(plan, **NONE)) == {"control-1": 1, "worker-1": 1}
    standing = Standing.of(filed, "prod", live(plan, **NONE))
    vm = standing.vm("box", "control-1")
    assert vm is not None
    assert (vm.image, vm.shape) == (planned(plan)["control-1"].image, planned(plan)["control-1"].shape)
    # A file that follows what happens is as good as the host.
    assert update(filed, live(plan, worker_1=None)) == {"control-1": 1, "worker-1": 2}


def test_live_facts_win_over_the_record(tmp_path: Path) -> None:
    plan = stack(tmp_path, planes=1)
    update(plan, live(plan))
    standing = Standing.of(plan, "prod", live(plan, control_1={"shape": "0" * 12, "state": "shut-off"}))
    vm = standing.vm("box", "control-1")
    assert vm is not None
    assert (vm.shape, vm.running) == ("0" * 12, False)
    assert standing.lost == ()


def test_a_role_that_a_vm_does_not_say_is_that_which_it_had(tmp_path: Path) -> None:
    plan = stack(tmp_path, planes=1)
    update(plan, live(plan))
    other = plan.model_copy(update={"machines": tuple(m for m in plan.machines if m.role == "worker")})
    vm = Standing.of(other, "prod", live(plan, control_1={"role": None})).vm("box", "control-1")
    assert vm is not None
    assert vm.role == "control-plane"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "cannot be read"),
        ('{"version": 7, "vms": {}}', "has version 7"),
        ('{"version": 1}', "is no record of VMs"),
        ('{"version": 1, "vms": {"a": {"host": "box", "colour": "red"}}}', "is no record of VMs"),
        ("[]", "is no record of VMs"),
    ],
)
def test_a_record_that_cannot_be_read_is_one_clear_error(tmp_path: Path, text: str, reason: str) -> None:
    plan = stack(tmp_path)
    path = record_file(plan, "prod")
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(InputError, match=reason) as error:
        Standing.of(plan, "prod", live(plan))
    assert f"mv {path}" in str(error.value)
