"""Where the lease file and libvirt do not agree: what is said, and what to do about it."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.leases import Book, Lease, Update
from cluster.leases.differences import Difference, differences, lease_state
from cluster.leases.evidence import Evidence
from tests.leases.lease_hosts import OVER, A, B, audio, host, lease, vm

RUNNING = Update("this boot", 200, 2)


def told(*leases: Lease, vms: tuple[dict[str, Any], ...] = (), sharer: str | None = None) -> list[Difference]:
    return differences(Book(leases), Evidence({"ws": host(*vms)}, frozenset({OVER}), sharer))


def test_where_they_agree_nothing_is_said() -> None:
    ours = vm("gpu-1", "cloud/prod", A)
    theirs = vm("hpc-1", "hpc", B)  # others keep no leases
    assert told(lease(A), vms=(ours, theirs)) == []
    assert told(lease(A, update=RUNNING)) == [], "its VM is being made"
    assert told(lease(A, update=OVER), vms=(vm("gpu-1", "cloud/prod", A, state="shut-off"),)) == []


@pytest.mark.parametrize(
    ("held", "code", "remedy"),
    [
        (
            lease(A, update=OVER),
            "void",
            f"whoever wants it may take it, gpu-1 at its next update; or drop the lease:"
            f" cloudctl gpus release --host ws --gpu {A}",
        ),
        (lease(A), "by-hand", f"if it is not to get it: cloudctl gpus release --host ws --gpu {A}"),
    ],
)
def test_a_vm_that_is_not_there_is_worth_knowing_and_no_harm(held: Lease, code: str, remedy: str) -> None:
    (found,) = told(held)
    assert (found.code, found.host, found.gpu, found.remedy, found.harmless) == (code, "ws", A, remedy, True)
    assert "gpu-1 (cloud/prod)" in found.message
    assert str(found) == f"{found.message}; {found.remedy}"


@pytest.mark.parametrize(
    ("held", "owner", "remedy"),
    [
        (lease(A), "hpc", f"drop the lease: cloudctl gpus release --host ws --gpu {A}"),
        (lease(A, update=OVER), None, f"drop the lease: cloudctl gpus release --host ws --gpu {A}"),
        (lease(A), "cloud/dev", "the next update of stack dev takes the lease over; or drop it: cloudctl gpus release"),
        (lease(A, update=RUNNING), "cloud/dev", "an update that makes gpu-1 is under way: wait for its end"),
    ],
)
def test_a_card_that_another_vm_has(held: Lease, owner: str | None, remedy: str) -> None:
    (found,) = told(held, vms=(vm("other", owner, A),))
    assert (found.code, found.harmless) == ("held-by-another", False)
    assert f"is leased to gpu-1 (cloud/prod), but other (running, owner {owner or 'not known'}) has it" in found.message
    assert remedy in found.remedy


def test_a_card_that_two_vms_define() -> None:
    (found,) = told(lease(A), vms=(vm("gpu-1", "cloud/prod", A), vm("hpc-1", "hpc", A, state="shut-off")))
    assert found.code == "defined-twice"
    assert "hpc-1 (shut-off, owner hpc) has it in its own as well" in found.message
    assert found.remedy == "take it out of hpc-1: only one of them can run"


def test_a_vm_of_a_stack_without_a_lease() -> None:
    (found,) = told(vms=(vm("gpu-9", "cloud/dev", A),))
    assert (found.code, found.harmless) == ("without-lease", False)
    assert found.remedy.startswith("the next update of stack dev takes the lease")
    assert told(vms=(vm("gpu-9", "cloud/dev", hostdevs=[audio(A)]),)) == [], "the card itself is what is leased"


OURS, THEIRS = vm("gpu-1", "cloud/prod", A), vm("hpc-1", "hpc", A)
OFF = {"state": "shut-off"}


@pytest.mark.parametrize("held", [lease(A), lease(A, "hpc", "hpc-1")])
def test_two_clusters_that_share_may_define_a_card_if_who_has_no_lease_is_off(held: Lease) -> None:
    ours = OURS | ({} if held.owner == "cloud/prod" else OFF)
    theirs = THEIRS | ({} if held.owner == "hpc" else OFF)
    assert told(held, vms=(ours, theirs), sharer="hpc") == []
    assert told(held, vms=(ours | OFF, theirs | OFF), sharer="hpc") == []
    assert [each.code for each in told(held, vms=(ours, theirs))] == ["defined-twice"], "without the agreement not"


def test_the_one_that_runs_without_the_lease_is_named() -> None:
    (found,) = told(lease(A), vms=(OURS | OFF, THEIRS), sharer="hpc")
    assert "is leased to gpu-1 (cloud/prod), but hpc-1 (running, owner hpc) runs on it" in found.message
    assert found.remedy == "shut hpc-1 down, or hand the lease over: cloudctl flip train"
    (found,) = told(lease(A, "hpc", "hpc-1"), vms=(OURS, THEIRS | OFF), sharer="hpc")
    assert found.remedy == "shut gpu-1 down, or hand the lease over: cloudctl flip serve"
    assert found.code == "runs-without-lease"
    assert not found.harmless


def test_a_host_that_did_not_answer_says_nothing() -> None:
    dark = host(vm("other", "hpc", A), unknown={"domains": "no answer"})
    for facts in ({}, {"ws": dark}):
        evidence = Evidence(facts, frozenset({OVER}))
        assert differences(Book((lease(A, update=OVER),)), evidence) == []
        assert lease_state(lease(A, update=OVER), evidence) == "unknown"


@pytest.mark.parametrize(
    ("held", "vms", "state"),
    [
        (lease(A, update=OVER), (), "void"),
        (lease(A, update=RUNNING), (), "making"),
        (lease(A), (), "by-hand"),
        (lease(A, update=OVER), (OURS | OFF,), "made"),
        (lease(A, update=OVER), (vm("gpu-1", "cloud/prod", B),), "void"),
    ],
)
def test_states(held: Lease, vms: tuple[dict[str, Any], ...], state: str) -> None:
    assert lease_state(held, Evidence({"ws": host(*vms)}, frozenset({OVER}))) == state
