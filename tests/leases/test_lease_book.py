"""The pure book of leases, under any order of claims, updates that end or die, VMs that come and go, and late looks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cluster.leases import Book, Lease, Seen, Update
from cluster.leases.book import HeldError
from cluster.leases.evidence import Evidence, Wanted, claim, reconcile
from cluster.leases.text import dump, parse
from tests.leases.lease_hosts import NOW, A, B, audio, host, lease, moving, vm

OWNERS = ("cloud/prod", "cloud/dev")
HPC = "hpc"
CARDS = (A, B)
"""Few, so that the ways of two stacks cross often."""

owners = st.sampled_from(OWNERS)
cards = st.sampled_from(CARDS)


@dataclass(frozen=True)
class Look:
    """What a claimant knows: updates that were over, and the VMs that were there after that."""

    ended: frozenset[Update]
    vms: tuple[dict[str, Any], ...]


class World(RuleBasedStateMachine):
    """Two stacks, each with a VM per card, that follow the program's order: look, claim, make, give back.

    ``running`` holds the update of a stack that is at work. A VM comes only from the update that claimed its card: this
    is the program's law, and libvirt's start of a VM is where two of them on one card would meet.
    """

    shares = False
    joint: tuple[str, ...] = ()
    """Cards that are in one IOMMU group: who has one has the other."""

    def __init__(self) -> None:
        super().__init__()
        self.book = Book()
        self.vms: dict[tuple[str, str], str] = {}
        """(owner, card) -> state of the VM that has it."""
        self.running: dict[str, Update] = {}
        self.over: set[Update] = set()
        self.looks: dict[str, Look] = {}
        self.claimed: set[tuple[str, str]] = set()
        """(owner, card) that an update at work has claimed."""
        self.pids = 0

    @initialize()
    def define_the_other_clusters_vms(self) -> None:
        if self.shares:
            self.vms.update({(HPC, card): "shut-off" for card in CARDS})

    def name(self, owner: str, card: str) -> str:
        return f"{owner.removeprefix('cloud/')}-{card[5:7]}"

    def look(self) -> Look:
        shown = [
            vm(self.name(owner, card), owner, state=state, hostdevs=list(moving(card, self.joint)))
            for (owner, card), state in self.vms.items()
        ]
        return Look(frozenset(self.over), tuple(shown))

    def evidence(self, look: Look) -> Evidence:
        return Evidence(
            {"ws": host(*look.vms, cards=() if self.joint else CARDS, joint=self.joint)},
            look.ended,
            HPC if self.shares else None,
        )

    @rule(owner=owners)
    def an_update_begins(self, owner: str) -> None:
        if owner not in self.running:
            self.pids += 1
            self.running[owner] = Update("boot", self.pids, self.pids)
            self.looks[owner] = self.look()

    @rule(owner=owners)
    def an_update_ends_or_dies(self, owner: str) -> None:
        if owner in self.running:
            self.over.add(self.running.pop(owner))
            self.looks.pop(owner)
            self.claimed = {each for each in self.claimed if each[0] != owner}

    @rule(owner=owners, wanted=st.sets(cards, min_size=1))
    def claims(self, owner: str, wanted: set[str]) -> None:
        """All or nothing, with what the stack saw when its update began, however much has happened since."""
        if owner not in self.running:
            return
        asked = [Wanted("ws", card, self.name(owner, card), moving(card, self.joint)) for card in sorted(wanted)]
        look = self.evidence(self.looks[owner])
        after, conflicts = claim(self.book, asked, look, owner, self.running[owner], NOW)
        mine = {each.gpu for each in after.leases if each.owner == owner and each.update == self.running[owner]}
        if conflicts:
            assert after == self.book
            for conflict in conflicts:
                assert conflict.wanted in asked
        else:
            assert wanted <= mine
            self.claimed |= {(owner, card) for card in wanted}
        for before in self.book.leases:
            at_work = before.update is not None and before.update == self.running.get(before.owner)
            if before.owner != owner and (at_work or before.owner == HPC or (before.owner, before.gpu) in self.vms):
                assert before in after.leases, "a claim took a card that its holder has, or is at work for"
        self.book = after

    @rule(owner=owners, card=cards)
    def a_vm_is_made(self, owner: str, card: str) -> None:
        if (owner, card) in self.claimed:
            self.vms[owner, card] = "running"

    @rule(owner=owners, wanted=st.sets(cards, min_size=1), made=st.booleans())
    def an_update_runs_from_begin_to_end(self, owner: str, wanted: set[str], made: bool) -> None:
        """What the single steps reach seldom."""
        self.an_update_begins(owner)
        self.claims(owner, wanted)
        for card in sorted(wanted) if made else ():
            self.a_vm_is_made(owner, card)
        self.an_update_ends_or_dies(owner)

    @rule(owner=owners, card=cards)
    def takes_without_a_look(self, owner: str, card: str) -> None:
        """The bare command, by an update that has not claimed; it makes no VM."""
        if self.book.of("ws", card) is None and owner in self.running:
            self.book = self.book.take(Lease("ws", card, owner, self.name(owner, card), NOW, self.running[owner]))

    @precondition(lambda self: not self.running)
    @rule(card=cards)
    def a_vm_of_others_gets_a_card_that_is_free(self, card: str) -> None:
        """Without a lease: only its definition keeps others away. Nobody is between his look and his claim."""
        having = self._having(card)
        if not having and self.book.of("ws", card) is None:
            self.vms[HPC, card] = "running"

    @rule(owner=owners, card=cards)
    def a_vm_goes(self, owner: str, card: str) -> None:
        self.vms.pop((owner, card), None)

    @rule(owner=owners, card=cards)
    def a_vm_is_stopped_or_started(self, owner: str, card: str) -> None:
        held = self.book.of("ws", card)
        state = self.vms.get((owner, card))
        if state == "running":
            self.vms[owner, card] = "shut-off"
        elif state and (not self.shares or (held and held.owner == owner)):
            self.vms[owner, card] = "running"

    @rule(owner=owners, card=cards)
    def gives_back(self, owner: str, card: str) -> None:
        """By the delete of a VM's lease, after the VM is gone."""
        if (owner, card) not in self.vms:
            self.claimed.discard((owner, card))
            self.book = self.book.give_back("ws", card, owner, self.name(owner, card))
            held = self.book.of("ws", card)
            assert held is None or held.owner != owner or held.gpu != card

    @rule(card=cards, owner=st.sampled_from([*OWNERS, HPC]), other=st.text(max_size=3))
    def a_stranger_gives_back_in_vain(self, card: str, owner: str, other: str) -> None:
        assert self.book.give_back("ws", card, owner, other + "!").leases == self.book.leases

    @rule(owner=owners)
    def reconciling_again_changes_nothing(self, owner: str) -> None:
        evidence = self.evidence(self.look())
        once = reconcile(self.book, evidence, owner, self.running.get(owner), NOW)
        assert reconcile(once, evidence, owner, self.running.get(owner), NOW) == once
        assert not [each for each in once.leases if evidence.is_void(each)]
        lost = [each for each in self.book.leases if (each.owner, each.gpu) in self.vms and each not in once.leases]
        assert not lost, "a VM that has its card lost the lease"

    @precondition(lambda self: not self.running)
    @rule()
    def the_file_is_lost(self) -> None:
        if not self.shares:  # with it goes what says who may run: a flip has to set that right
            self.book = Book()

    @rule(owner=owners, card=cards)
    def a_void_lease_is_released(self, owner: str, card: str) -> None:
        held = self.book.of("ws", card)
        if held and self.evidence(self.look()).is_void(held):
            self.book = self.book.drop(held)

    @invariant()
    def no_card_has_two_leases(self) -> None:
        held = [each.card for each in self.book.leases]
        assert len(held) == len(set(held))

    @invariant()
    def no_card_is_in_two_vms(self) -> None:
        for card in CARDS:
            having = self._having(card)
            assert len(having) <= 1, f"{card} is with {having}"

    def _having(self, card: str) -> list[str]:
        """Return who has a VM with a card that keeps others away."""
        return [
            owner
            for (owner, each), state in self.vms.items()
            if card in moving(each, self.joint) and self._counts(owner, state)
        ]

    def _counts(self, owner: str, state: str) -> bool:
        return state == "running" or not self.shares

    @invariant()
    def the_file_reads_back(self) -> None:
        assert parse(dump(self.book)) == self.book


class SharedWorld(World):
    """The same two stacks beside a cluster whose VMs define every card as well: a lease says who may run."""

    shares = True

    @rule(card=cards)
    def a_vm_of_the_other_cluster_goes_or_comes(self, card: str) -> None:
        if self.vms.get((HPC, card)) == "shut-off":
            del self.vms[HPC, card]
        else:
            self.vms.setdefault((HPC, card), "shut-off")

    @rule(card=cards)
    def the_other_cluster_stops(self, card: str) -> None:
        if (HPC, card) in self.vms:
            self.vms[HPC, card] = "shut-off"

    @rule(card=cards)
    def the_other_cluster_starts_what_it_holds(self, card: str) -> None:
        held = self.book.of("ws", card)
        if held and held.owner == HPC:
            self.vms[HPC, card] = "running"

    @rule(owner=owners, card=cards)
    def flips_to_the_other_cluster(self, owner: str, card: str) -> None:
        """As the flip does: our VM off first, then one write, then theirs may start."""
        held = self.book.of("ws", card)
        if held and held.owner == owner and held.update not in self.running.values():
            if (owner, card) in self.vms:
                self.vms[owner, card] = "shut-off"
            theirs = Lease("ws", card, HPC, self.name(HPC, card), NOW, functions=moving(card))
            self.book = self.book.transfer(held.holder, theirs)
            assert self.book.of("ws", card) == replace(theirs, functions=held.functions or theirs.functions)
            assert self.book.transfer(held.holder, theirs) == self.book

    @rule(owner=owners, card=cards)
    def flips_back(self, owner: str, card: str) -> None:
        held = self.book.of("ws", card)
        if held and held.owner == HPC:
            self.the_other_cluster_stops(card)
            self.book = self.book.transfer(held.holder, Lease("ws", card, owner, self.name(owner, card), NOW))


class JointWorld(World):
    """The same two stacks, whose two cards are in one IOMMU group: each may plan the other one of them."""

    joint = CARDS


TestWorld = World.TestCase
TestSharedWorld = SharedWorld.TestCase
TestJointWorld = JointWorld.TestCase
for case in (TestWorld, TestSharedWorld, TestJointWorld):
    case.settings = settings(max_examples=100, stateful_step_count=40)
del case  # else it would be collected once more


def test_a_third_one_is_in_the_way_of_a_transfer() -> None:
    book = Book((lease(A, "cloud/dev", "gpu-9"),))
    with pytest.raises(HeldError) as caught:
        book.transfer(("cloud/prod", "gpu-1"), lease(A, "hpc", "hpc-1"))
    assert caught.value.lease == lease(A, "cloud/dev", "gpu-9")


def test_a_card_that_nobody_holds_is_transferred_as_well() -> None:
    moved = Book().transfer(("cloud/prod", "gpu-1"), lease(A, "hpc", "hpc-1", Update("boot", 1, 1)))
    assert moved.leases == (lease(A, "hpc", "hpc-1"),)  # it belongs to no update: it says who may run


def test_what_moves_with_a_card_moves_with_its_lease_whichever_function_is_named() -> None:
    joint = replace(lease(A, "cloud/prod", "gpu-1"), functions=(A, audio(A), B, audio(B)))
    book = Book((joint, lease(B, "cloud/prod", "gpu-1")))  # the second is of an earlier version
    moved = book.transfer(("cloud/prod", "gpu-1"), lease(A, "hpc", "hpc-1"))
    assert moved.leases == (replace(joint, owner="hpc", vm="hpc-1"),)
    assert moved.transfer(("cloud/prod", "gpu-1"), lease(B, "hpc", "hpc-1")) == moved
    assert moved.of("ws", audio(B)) == moved.leases[0]
    back = moved.transfer(("hpc", "hpc-1"), lease(B, "cloud/prod", "gpu-1"))
    assert back.leases == (joint,)


def test_a_transfer_is_refused_where_a_third_one_keeps_what_moves_along() -> None:
    book = Book((lease(A, "cloud/prod", "gpu-1"), lease(B, "cloud/dev", "gpu-9")))
    with pytest.raises(HeldError):
        book.transfer(("cloud/prod", "gpu-1"), replace(lease(A, "hpc", "hpc-1"), functions=(A, B)))


def seen(gpu: str = A, serial: str | None = "1", uuid: str | None = None, kind: str = "10de:26b1") -> Seen:
    return Seen("cloud/prod", "ws", gpu, kind, serial, uuid, (gpu, audio(gpu)), NOW)


def test_what_cannot_be_read_now_stays_known() -> None:
    book = Book().remember("cloud/prod", [seen(serial="1", uuid=None)]).remember("cloud/prod", [seen(serial=None)])
    assert book.seen == (seen(serial="1"),)
    assert book.remember("cloud/prod", [replace(seen(serial=None), group=())]).seen == (seen(serial="1"),)
    # Accepted before: nothing of the old card is left.
    other = book.remember("cloud/prod", [seen(serial=None, kind="10de:2204")])
    assert other.seen == (seen(serial=None, kind="10de:2204"),)


def test_a_stack_remembers_the_cards_of_its_plan_only_and_others_keep_theirs() -> None:
    theirs = replace(seen(), owner="cloud/dev")
    book = Book(seen=(theirs, seen(A), seen(B))).remember("cloud/prod", [seen(B), seen(B)])
    assert book.seen == (theirs, seen(B))
    assert book.forget("cloud/prod", "ws", B).seen == (theirs,)


def test_what_was_seen_goes_with_the_lease_and_stays_where_another_vm_of_the_stack_has_the_card() -> None:
    book = Book((lease(A),), (seen(A),))
    assert book.give_back("ws", A, "cloud/prod", "gpu-1") == Book()
    assert book.give_back("ws", A, "cloud/prod", "gpu-2") == book
    assert Book((), (seen(A),)).give_back("ws", A, "cloud/prod", "gpu-1") == Book()


def test_a_second_vm_of_the_same_stack_does_not_get_the_card_either() -> None:
    with pytest.raises(HeldError):
        Book((lease(A),)).take(lease(A, vm="gpu-2"))
