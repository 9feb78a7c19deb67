"""Claiming all GPUs of a plan: what is in the way, what goes back to whom, and which card each one is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cluster.budget import Finding, GPUAlreadyAllocatedError, HostLimits, VmDemand, limits_from
from cluster.host.model import HostFacts
from cluster.leases import Book, Lease, LeaseFile, Seen, Update
from cluster.leases import claims as module
from cluster.leases.claims import Claims
from cluster.leases.text import dump
from cluster.settings.model import Settings
from tests.leases.lease_hosts import JOINT, LIMITS, OVER, A, B, C, D, E, audio, demand, host, lease, moving, vm

MINE = Update("this boot", 100, 1)
RUNNING = Update("this boot", 200, 2)
PLAN = [demand("gpu-1", A), demand("gpu-2", B)]
MODEL = "NVIDIA RTX 6000 Ada Generation"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LeaseFile:
    """A lease file, and this process as an update of its own; only ``OVER`` is over."""
    monkeypatch.setattr(module, "running_update", lambda: MINE)
    return LeaseFile(tmp_path / "state.json")


def write(file: LeaseFile, *leases: Lease, seen: tuple[Seen, ...] = ()) -> Book:
    file.path.write_text(dump(Book(leases, seen)))
    return Book(leases, seen)


def opened(file: LeaseFile, sharer: str | None = None, owner: str = "cloud/prod") -> Claims:
    """Return what ``Claims.open`` does with settings that name this file."""
    return Claims(file, owner, file.read(), frozenset({OVER}), sharer)


def taken(
    file: LeaseFile,
    facts: HostFacts,
    plan: list[VmDemand] | None = None,
    sharer: str | None = None,
    limits: dict[str, HostLimits] | None = None,
) -> dict[str, tuple[str, str, Update | None]]:
    """Claim, and return who has which card afterwards. Findings before the claim must say the same as the claim."""
    claims = opened(file, sharer)
    demands = PLAN if plan is None else plan
    before = [each.message for each in claims.findings(demands, {"ws": facts}, limits or LIMITS)]
    try:
        claims.claim(demands, {"ws": facts}, limits or LIMITS)
    except GPUAlreadyAllocatedError as error:
        leased = [each.message for each in error.findings if each.code == "gpu-leased"]
        assert set(before) <= set(leased)
        raise
    assert not before
    return {each.gpu: (each.owner, each.vm, each.update) for each in file.all()}


def refused(file: LeaseFile, facts: HostFacts, **more: object) -> list[str]:
    """Claim in vain; the file must be as it was."""
    before = file.path.read_bytes() if file.path.exists() else b""
    with pytest.raises(GPUAlreadyAllocatedError) as caught:
        taken(file, facts, **more)  # type: ignore[arg-type]
    assert (file.path.read_bytes() if file.path.exists() else b"") == before
    return [str(finding) for finding in caught.value.findings]


BOTH = {A: ("cloud/prod", "gpu-1", MINE), B: ("cloud/prod", "gpu-2", MINE)}


def test_free_cards_are_taken_in_one_step_and_again_without_a_change(file: LeaseFile) -> None:
    assert taken(file, host()) == BOTH
    since = [each.since for each in file.all()]
    assert taken(file, host(vm("gpu-1", "cloud/prod", A))) == BOTH
    assert [each.since for each in file.all()] == since


def test_a_plan_without_gpus_needs_no_file(file: LeaseFile) -> None:
    opened(file).claim([demand("worker-1")], {"ws": host()}, LIMITS)
    assert not file.path.exists()


def test_all_or_nothing_and_every_conflict_is_told_with_what_is_free(file: LeaseFile) -> None:
    write(file, lease(A, "cloud/dev", "gpu-9", RUNNING), lease(C, "cloud/dev", "gpu-8", RUNNING))
    first, second = refused(file, host(vm("hpc-1", "hpc", B)))
    assert first == (
        f"vm gpu-1 (owner cloud/prod) wants GPU {A} of host ws, which gpu-9 (owner cloud/dev) holds since"
        " 2026-01-01T00:00:00+00:00; no other GPU of this host is free and fit; or wait for the update that makes"
        " gpu-9 (process 200) to end, and run again"
    )
    assert second.startswith(f"vm gpu-2 wants GPU {B}, which hpc-1 (running, owner hpc) holds; no other GPU")


def test_free_cards_are_suggested_none_that_is_leased_but_void_ones(file: LeaseFile) -> None:
    write(file, lease(A, "cloud/dev", "gpu-9", RUNNING), lease(B, "cloud/dev", "gpu-8", OVER))
    (told,) = refused(file, host(), plan=[demand("gpu-1", A)])
    assert f"free on this host: {B} ({MODEL}), {C} ({MODEL}); or wait" in told


def test_a_void_lease_gives_way(file: LeaseFile) -> None:
    write(file, lease(A, "cloud/dev", "gpu-9", OVER))
    assert taken(file, host()) == BOTH


def test_a_lease_is_not_void_while_its_vm_is_defined_even_if_it_is_off(file: LeaseFile) -> None:
    write(file, lease(A, "cloud/dev", "gpu-9", OVER))
    (told,) = refused(file, host(vm("gpu-9", "cloud/dev", A, state="shut-off")), plan=[demand("gpu-1", A)])
    assert told.endswith("or give it up there: pulumi destroy --stack dev")


def test_a_lease_taken_by_hand_is_never_void(file: LeaseFile) -> None:
    write(file, lease(A, "cloud/dev", "gpu-9"))
    (told,) = refused(file, host(), plan=[demand("gpu-1", A)])
    assert f"release it, if gpu-9 is not to have it: cloudctl gpus release --host ws --gpu {A}" in told


def test_without_facts_nothing_is_void(file: LeaseFile) -> None:
    write(file, lease(A, "cloud/dev", "gpu-9", OVER))
    for dark in (host(unknown={"domains": "virsh does not answer"}), host(live=False)):
        (told,) = refused(file, dark, plan=[demand("gpu-1", A)])
        assert "take it from gpu-9 first: pulumi destroy --stack dev" in told
    elsewhere = [replace(lease(A, "cloud/dev", "gpu-9", OVER), host="ws-2")]
    write(file, *elsewhere)
    assert (A, "ws-2") in {(each.gpu, each.host) for each in (taken(file, host()), file.all())[1]}


def test_what_an_update_made_after_our_look_is_not_taken_for_not_made(file: LeaseFile) -> None:
    """The update runs when we look at the file, makes its VM after we read the host, and is over when we claim."""
    ends = Update("this boot", 300, 3)
    write(file, lease(A, "cloud/dev", "gpu-9", ends))
    claims = opened(file)
    late = replace(claims, ended=frozenset({OVER, ends}))
    with pytest.raises(GPUAlreadyAllocatedError):
        claims.claim(PLAN, {"ws": host()}, LIMITS)
    late.claim(PLAN, {"ws": host()}, LIMITS)  # had it been over before the look, the host would tell the truth
    assert file.read().of("ws", A) is not None


def test_a_lease_is_taken_anew_by_each_update_or_it_would_be_void_while_its_vm_is_replaced(file: LeaseFile) -> None:
    write(file, lease(A, update=OVER))
    assert taken(file, host(vm("gpu-1", "cloud/prod", A)))[A] == ("cloud/prod", "gpu-1", MINE)
    assert file.all()[0].since == lease(A).since


def test_a_card_that_libvirt_gives_to_another_vm_is_refused_whatever_the_file_says(file: LeaseFile) -> None:
    write(file, lease(A, update=OVER))
    (told,) = refused(file, host(vm("hpc-1", "hpc", A)), plan=[demand("gpu-1", A)])
    assert told.startswith(f"vm gpu-1 wants GPU {A}, which hpc-1 (running, owner hpc) holds; free on this host: {B}")
    sibling = vm("hpc-1", "hpc", state="shut-off", hostdevs=[audio(A)])
    (told,) = refused(file, host(sibling), plan=[demand("gpu-1", A)])
    assert f"wants GPU {A} with {audio(A)}, which hpc-1 (shut-off, owner hpc) holds" in told


def test_facts_that_somebody_wrote_down_forbid_and_give_nothing_away(file: LeaseFile) -> None:
    """A file of facts, made before the VMs were: it does not show them, and the leases are all there is."""
    write(file, lease(A, "cloud/dev", "gpu-9", OVER), lease(C, "cloud/dev", "gpu-8"))
    old = host(vm("hpc-1", "hpc", B), vm("gpu-1", "cloud/prod", C), live=False)
    assert len(refused(file, old, plan=[demand("gpu-1", A, B, C)])) == 3


def test_a_card_that_another_vm_of_the_stack_has_is_refused(file: LeaseFile) -> None:
    (told,) = refused(file, host(vm("gpu-9", "cloud/prod", A)), plan=[demand("gpu-1", A)])
    assert "gpu-9 of this same stack still holds" in told


def test_a_card_planned_twice_is_refused_the_second_time(file: LeaseFile) -> None:
    (told,) = refused(file, host(), plan=[demand("gpu-1", A), demand("gpu-2", A)])
    assert told.startswith(
        f"vm gpu-2 (owner cloud/prod) wants GPU {A} of host ws, which gpu-1 (owner cloud/prod) holds"
    )


def test_two_stacks_do_not_both_get_a_group_of_two_cards_though_each_names_the_other_one(file: LeaseFile) -> None:
    """Neither has made its VM yet: only the leases can keep them apart."""
    both = host(joint=JOINT)
    opened(file, owner="cloud/dev").claim([demand("gpu-9", E)], {"ws": both}, LIMITS)
    assert [(each.gpu, each.functions) for each in file.all()] == [(E, moving(E))]
    (told,) = refused(file, both, plan=[demand("gpu-1", D)])
    assert told.startswith(
        f"vm gpu-1 (owner cloud/prod) wants GPU {D} of host ws with GPU {E} of its IOMMU group, which gpu-9 (owner"
        " cloud/dev) holds since"
    )
    (told,) = refused(file, both, plan=[demand("gpu-1", E)])
    assert f"wants GPU {E} of host ws, which gpu-9" in told


def test_a_lease_from_before_leases_said_what_moves_along_stands_in_the_way_too(file: LeaseFile) -> None:
    write(file, lease(E, "cloud/dev", "gpu-9", RUNNING))
    (told,) = refused(file, host(joint=JOINT), plan=[demand("gpu-1", D)])
    assert "which gpu-9 (owner cloud/dev) holds" in told


def test_what_moves_with_a_leased_card_is_not_offered(file: LeaseFile) -> None:
    # One card that is two GPUs to the system, as some are.
    twin = A[:-1] + "1"
    facts = host(cards=(A, twin, B, C))
    devices = (*facts.iommu_groups[0].devices, *facts.iommu_groups[1].devices)
    one = facts.iommu_groups[0].model_copy(update={"devices": tuple({each.address: each for each in devices}.values())})
    gpus = tuple(gpu.model_copy(update={"iommu_group": 0}) if gpu.address == twin else gpu for gpu in facts.gpus)
    facts = facts.model_copy(update={"gpus": gpus, "iommu_groups": (one, *facts.iommu_groups[2:])})
    write(
        file, replace(lease(A, "cloud/dev", "gpu-9", RUNNING), functions=(A, twin)), lease(B, "cloud/x", "y", RUNNING)
    )
    (told,) = refused(file, facts, plan=[demand("gpu-1", B)])
    assert f"free on this host: {C} ({MODEL}); or wait" in told


UUID, BOOT = "libvirt 4c4c4544-0031", "boot 9e1f"


@pytest.mark.parametrize("known", [(UUID,), (BOOT,), (UUID, "boot before"), ("libvirt made up", BOOT)])
def test_one_machine_under_two_names_is_told_and_its_cards_are_not_given_twice(
    file: LeaseFile, known: tuple[str, ...]
) -> None:
    theirs = replace(lease(A, "cloud/dev", "gpu-9", RUNNING), host="box", machine=known)
    write(file, theirs)
    (told,) = refused(file, host(machine=(UUID, BOOT)), plan=[demand("gpu-1", A), demand("gpu-2", B)])
    assert told.startswith(
        f"host ws is the machine that cloud/dev calls box in the lease file (gpu-9 holds GPU {A} there): leases of two"
        " names never meet, and both would get the same cards; call it box here too (hosts[].name)"
    )
    # Of a VM that was not made nothing is held, whatever its host is called.
    write(file, replace(theirs, update=OVER))
    assert taken(file, host(machine=(UUID, BOOT))) == {**BOTH, A: ("cloud/prod", "gpu-1", MINE)}
    write(file, replace(theirs, machine=("libvirt other", "boot other")))
    taken(file, host(machine=(UUID, BOOT)))


def test_a_lease_says_which_machine_its_host_is(file: LeaseFile) -> None:
    write(file, lease(A, update=OVER))
    taken(file, host(vm("gpu-1", "cloud/prod", A), machine=(UUID, BOOT)))
    assert {each.machine for each in file.all()} == {(UUID, BOOT)}
    file.take("ws", A, "cloud/prod", "gpu-1")  # the command, which does not look
    assert {each.machine for each in file.all()} == {(UUID, BOOT)}


def test_a_vm_may_come_to_be_named_by_the_other_card_of_its_group(file: LeaseFile) -> None:
    both = host(vm("gpu-1", "cloud/prod", D, E), joint=JOINT)
    write(file, replace(lease(D, update=OVER), functions=moving(D)))
    assert taken(file, both, [demand("gpu-1", E)]) == {
        D: ("cloud/prod", "gpu-1", OVER),  # given back by its own deletion, in the same update
        E: ("cloud/prod", "gpu-1", MINE),
    }


def test_a_lost_lease_comes_back_once_for_all_that_its_vm_has_of_a_group(file: LeaseFile) -> None:
    both = host(vm("gpu-1", "cloud/prod", D, E), joint=JOINT)
    assert taken(file, both, [demand("gpu-1", D)]) == {D: ("cloud/prod", "gpu-1", MINE)}
    assert file.all()[0].functions == moving(D)


def test_a_vm_of_ours_that_has_a_card_gets_its_lease_back(file: LeaseFile) -> None:
    assert taken(file, host(vm("gpu-1", "cloud/prod", A), vm("old", "cloud/prod", C)), [demand("gpu-1", A)]) == {
        A: ("cloud/prod", "gpu-1", MINE),
        C: ("cloud/prod", "old", MINE),  # not in the plan: it goes in this update, and with it the lease
    }


@pytest.mark.parametrize("theirs", [lease(A, "cloud/dev", "gpu-9"), lease(A, "cloud/dev", "gpu-9", OVER)])
def test_libvirts_definition_wins_over_a_lease_that_nobody_is_at_work_for(file: LeaseFile, theirs: Lease) -> None:
    write(file, theirs)
    assert taken(file, host(vm("gpu-1", "cloud/prod", A)))[A] == ("cloud/prod", "gpu-1", MINE)


def test_a_lease_of_an_update_at_work_stands_even_against_our_own_vm(file: LeaseFile) -> None:
    write(file, lease(A, "cloud/dev", "gpu-9", RUNNING))
    (told,) = refused(file, host(vm("gpu-1", "cloud/prod", A)), plan=[demand("gpu-1", A)])
    assert "wait for the update that makes gpu-9 (process 200)" in told


def test_void_leases_of_others_go_when_somebody_claims(file: LeaseFile) -> None:
    write(file, lease(C, "cloud/dev", "gpu-9", OVER), replace(lease(C, update=OVER), host="elsewhere"))
    taken(file, host())
    assert [(each.host, each.gpu) for each in file.all()] == [("elsewhere", C), ("ws", A), ("ws", B)]


SHARES = {"ws": HostLimits(sharer="hpc")}


def test_a_shut_off_vm_of_a_cluster_that_shares_is_not_in_the_way(file: LeaseFile) -> None:
    off = host(vm("hpc-1", "hpc", A, B, state="shut-off"))
    assert taken(file, off, sharer="hpc", limits=SHARES) == BOTH
    assert len(refused(file, off)) == 2, "without the agreement it is"


@pytest.mark.parametrize("state", ["running", "paused"])
def test_a_running_one_is_and_flip_is_the_way_out(file: LeaseFile, state: str) -> None:
    facts = host(vm("hpc-1", "hpc", A, state=state))
    (told,) = refused(file, facts, plan=[demand("gpu-1", A)], sharer="hpc", limits=SHARES)
    assert f"which hpc-1 ({state}, owner hpc) holds" in told
    assert told.endswith("or take it back: cloudctl flip serve")


@pytest.mark.parametrize("defined", [True, False])
def test_a_lease_of_theirs_stands_whatever_libvirt_defines(file: LeaseFile, defined: bool) -> None:
    write(file, lease(A, "hpc", "hpc-1"))
    vms = [vm("gpu-1", "cloud/prod", A, state="shut-off")]
    vms += [vm("hpc-1", "hpc", A, state="shut-off")] if defined else []
    claims = opened(file, "hpc")
    assert claims.findings([demand("gpu-1", A)], {"ws": host(*vms)}, SHARES) == [], "the verdict says it"
    with pytest.raises(GPUAlreadyAllocatedError, match="or take it back: cloudctl flip serve"):
        claims.claim([demand("gpu-1", A)], {"ws": host(*vms)}, SHARES)
    assert file.all() == (lease(A, "hpc", "hpc-1"),)


def test_what_forbids_it_at_the_last_moment_leaves_the_file_alone(file: LeaseFile) -> None:
    late = [Finding("flip-open", "refuse", "ws", None, "a flip to train was begun", "go on with it")]
    with pytest.raises(GPUAlreadyAllocatedError, match="a flip to train was begun; go on with it"):
        opened(file).claim(PLAN, {"ws": host()}, LIMITS, lambda: late)
    assert file.all() == ()
    opened(file).claim(PLAN, {"ws": host()}, LIMITS, list)
    assert len(file.all()) == 2


def test_what_was_seen_is_noted_with_the_claim_and_refuses_the_next_one(file: LeaseFile) -> None:
    taken(file, host())
    (seen, _) = file.read().seen
    assert (seen.vendor_device, seen.serial, seen.group) == ("10de:26b1", "132402300", (A, audio(A)))
    facts = host()
    swapped = facts.model_copy(update={"gpus": (facts.gpus[0].model_copy(update={"serial": "new"}), *facts.gpus[1:])})
    (finding,) = opened(file).findings(PLAN, {"ws": swapped}, LIMITS)
    assert finding.code == "gpu-changed"


def test_a_failed_claim_notes_nothing(file: LeaseFile) -> None:
    write(file, lease(A, "cloud/dev", "gpu-9", RUNNING))
    refused(file, host())
    assert file.read().seen == ()


def test_opening_reads_the_file_of_the_settings_and_a_stack_without_gpus_does_not(
    prod_settings: Settings, tmp_path: Path
) -> None:
    stack = prod_settings.model_copy(update={"state": "leases/state.json"})
    (tmp_path / "leases").mkdir()
    write(LeaseFile(tmp_path / "leases/state.json"), lease(A, update=OVER))
    claims = Claims.open(stack, "cloud/prod", tmp_path)
    assert claims.leases == (lease(A, update=OVER),)
    assert claims.ended == {OVER}
    assert claims.sharer is None
    (tmp_path / "leases/state.json").write_text("{")
    without = tuple(each.model_copy(update={"gpus": ()}) for each in stack.machines)
    assert Claims.open(stack.model_copy(update={"machines": without}), "cloud/prod", tmp_path).leases == ()


@pytest.fixture
def prod_settings() -> Settings:
    from cluster.settings.load import from_file

    return from_file(Path(__file__).parents[2] / "Pulumi.prod.yaml")


def test_a_lease_of_theirs_keeps_all_that_moves_with_its_card(prod_settings: Settings) -> None:
    assert prod_settings.hpc is not None
    siblings = {"siblings": moving(D)[1:]}
    machines = tuple(
        each.model_copy(update={"gpus": (each.gpus[0].model_copy(update={"address": D, **siblings}),)})
        if each.gpus
        else each
        for each in prod_settings.machines
    )
    hpc = prod_settings.hpc.model_copy(update={"shares_gpus": True})
    shares = prod_settings.model_copy(update={"hpc": hpc, "machines": machines})
    theirs = replace(lease(E, "hpc", "hpc-1"), host="workstation", functions=moving(E))
    assert D in limits_from(shares, [theirs])["workstation"].lent
    old = replace(theirs, functions=())
    assert D in limits_from(shares, [old])["workstation"].lent


def test_a_sharing_cluster_is_known_by_the_settings_and_its_leases_by_the_file(prod_settings: Settings) -> None:
    assert prod_settings.hpc is not None
    shares = prod_settings.model_copy(update={"hpc": prod_settings.hpc.model_copy(update={"shares_gpus": True})})
    theirs = [replace(lease(gpu, "hpc", "hpc-1"), host="workstation") for gpu in (C, B)]
    limits = limits_from(shares, theirs)["workstation"]
    assert (limits.sharer, limits.lent) == ("hpc", (B,)), "of the plan's cards only: others' are no matter of ours"
    alone = limits_from(prod_settings, theirs)["workstation"]
    assert (alone.sharer, alone.lent) == (None, ())
