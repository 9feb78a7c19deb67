"""The nearest plan that fits: it does fit, it is near, and where nothing fits that is said."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.budget import demands_from, judge, limits_from, nearest_fit, refusals
from cluster.host.model import HostFacts
from cluster.settings.model import Settings
from tests.budget.budget_strategies import OWNER, hosts, stacks

Twin = Callable[[str], HostFacts]


def refused(plan: Settings, facts: dict[str, HostFacts]) -> list[str]:
    return [str(each) for each in refusals(judge(demands_from(plan), facts, limits_from(plan), OWNER))]


@given(stacks(), hosts("workstation"), hosts("workstation-2"))
@settings(max_examples=120)
def test_what_is_proposed_passes_and_what_fits_is_left_alone(stack: Settings, one: HostFacts, two: HostFacts) -> None:
    facts = {"workstation": one, "workstation-2": two}
    fit = nearest_fit(stack, facts, OWNER)
    before = refused(stack, facts)
    if not before:
        assert fit == []
        assert fit.settings == stack
    elif fit.fits:
        assert fit
        assert refused(fit.settings, facts) == []
        assert Settings.model_validate(fit.settings.model_dump(mode="json")) == fit.settings
        assert len({machine.name for machine in fit.settings.machines}) == len(fit.settings.machines)
        roles = {machine.role == "control-plane" for machine in stack.machines}
        assert {machine.role == "control-plane" for machine in fit.settings.machines} == roles
        assert sum(machine.role == "control-plane" for machine in fit.settings.machines) % 2 == 1
    else:
        assert fit.reasons
        (change,) = fit
        assert change.after is None
        assert change.why.startswith("nothing fits: ")


@given(stacks(), hosts("workstation"))
@settings(max_examples=80)
def test_nothing_grows_and_every_change_is_told(stack: Settings, facts: HostFacts) -> None:
    every = {"workstation": facts, "workstation-2": facts.model_copy(update={"name": "workstation-2"})}
    fit = nearest_fit(stack, every, OWNER)
    if not fit.fits:
        return
    by_address = {machine.address: machine for machine in fit.settings.machines}
    paths = {change.path for change in fit}
    for index, before in enumerate(stack.machines):
        after = by_address.get(before.address)
        if after is None:
            assert f"machines[{index}]" in paths
            continue
        for field in ("cores", "memory", "disk"):
            old, new = getattr(before, field), getattr(after, field)
            assert new <= old
            assert (new < old) == (f"machines[{index}].{field}" in paths)
    assert all(change.why for change in fit)


@given(st.integers(20, 96), st.integers(30, 300))
@settings(max_examples=60)
def test_a_plan_is_shrunk_no_further_than_needed(prod: Settings, twin: Twin, cores: int, memory: int) -> None:
    base = twin("workstation")
    facts = base.model_copy(
        update={"cpu": base.cpu.model_copy(update={"cores": cores}), "memory": memory * 1024, "domains": ()}
    )
    fit = nearest_fit(prod, {"workstation": facts}, OWNER)
    assert fit.fits
    assert fit.settings.models == prod.models
    # the model with a GPU wants 16 GiB and the one without 4, a system 2, a control plane 4
    kept = 4 if memory - 4 >= 4 + 6 + 18 + 18 else 3 if memory - 4 >= 4 + 6 + 18 else 2
    assert len(fit.settings.machines) == kept
    asked = [machine for machine in prod.machines if machine.name in {each.name for each in fit.settings.machines}]
    for have, resource, unit in ((cores, "cores", 1), (memory, "memory", 1024)):
        planned = sum(getattr(machine, resource) for machine in fit.settings.machines)
        assert planned == min(sum(getattr(machine, resource) for machine in asked), (have - 4) * unit)


def test_held_cards_are_swapped_for_free_ones(prod: Settings, twin: Twin) -> None:
    fit = nearest_fit(prod, {"workstation": twin("gpus-held")}, OWNER)
    assert [(change.path, change.before, change.after) for change in fit] == [
        ("machines[2].gpus[0].address", "0000:41:00.0", "0000:81:00.0"),
        ("machines[3]", "gpu-2", None),
    ]
    assert "which hpc-gpu-1 (running, owner hpc) holds" in fit[0].why


def test_without_iommu_the_plan_runs_on_cpus(prod: Settings, twin: Twin) -> None:
    fit = nearest_fit(prod, {"workstation": twin("no-iommu")}, OWNER)
    assert [machine.role for machine in fit.settings.machines] == ["control-plane", "worker"]
    assert [model.name for model in fit.settings.models] == ["classifier"]
    assert [change.path for change in fit] == ["machines[2]", "machines[3]", "models[0]"]


def test_only_gpu_workers_and_no_gpu_makes_one_a_plain_worker(prod: Settings, twin: Twin) -> None:
    stack = prod.model_copy(update={"machines": tuple(m for m in prod.machines if m.role != "worker")})
    fit = nearest_fit(stack, {"workstation": twin("no-iommu")}, OWNER)
    assert [(machine.name, machine.role, machine.gpus) for machine in fit.settings.machines] == [
        ("control-1", "control-plane", ()),
        ("gpu-1", "worker", ()),
    ]
    assert {"machines[1].role", "machines[1].gpus", "machines[2]"} <= {change.path for change in fit}


def test_a_host_at_fault_fits_nothing_and_says_why(prod: Settings, twin: Twin) -> None:
    fit = nearest_fit(prod, {"workstation": twin("below-minimum")}, OWNER)
    assert not fit.fits
    assert any("Insufficient network: need 1000 Mb/s, have 100 Mb/s" in reason for reason in fit.reasons)
    assert fit.settings == prod
    faster = twin("below-minimum")
    faster = faster.model_copy(update={"nics": tuple(nic.model_copy(update={"mbps": 1000}) for nic in faster.nics)})
    mended = nearest_fit(prod, {"workstation": faster}, OWNER)
    assert mended.fits
    assert ("machines[3]", "gpu-2", None) in [(change.path, change.before, change.after) for change in mended]
    assert sum(machine.cores for machine in mended.settings.machines) == 12
