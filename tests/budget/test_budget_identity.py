"""Which card it is: swapped, moved, regrouped, or nobody can tell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cluster.budget import (
    Finding,
    GpuDemand,
    HostNotReadyError,
    IOMMUConfigurationError,
    demand_from_props,
    demand_props,
    identity,
    refuse,
)
from cluster.host.model import HostFacts, PciDevice
from cluster.leases import Seen
from tests.leases.lease_hosts import A, B, C, audio, demand, host

SERIAL, UUID = "132402300", "GPU-00000000-0000-0000-0000-000000000000"
"""Of the card at A."""

WAS = Seen("cloud/prod", "ws", A, "10de:26b1", SERIAL, UUID, (A, audio(A)), "2026-01-01")
ACCEPT = f"cloudctl gpus accept --host ws --gpu {A} --stack prod"


def changed(facts: HostFacts, address: str, **changes: Any) -> HostFacts:
    gpus = tuple(gpu.model_copy(update=changes) if gpu.address == address else gpu for gpu in facts.gpus)
    return facts.model_copy(update={"gpus": gpus})


def bound(facts: HostFacts, *addresses: str) -> HostFacts:
    """Bind cards to vfio-pci: they tell neither serial number nor UUID any more."""
    for address in addresses:
        facts = changed(facts, address, serial=None, uuid=None, driver="vfio-pci")
    return facts


def found(facts: HostFacts, seen: Seen | None = WAS, **names: str) -> list[Finding]:
    plan = [replace(demand("gpu-1"), gpus=(GpuDemand(A, **names),))]  # type: ignore[arg-type]
    return identity(plan, {"ws": facts}, {(seen.host, seen.gpu): seen} if seen else {}, "cloud/prod")


def only(findings: list[Finding], code: str) -> Finding:
    (finding,) = findings
    assert finding.code == code, finding
    assert (finding.host, finding.vm) == ("ws", "gpu-1")
    return finding


def test_the_same_card_is_no_finding_known_or_not() -> None:
    assert found(host()) == []
    assert found(host(), None) == []
    assert found(bound(host(), A)) == [], "what was known is not forgotten because the card is with a VM"
    assert found(host(), replace(WAS, serial=None, uuid=None)) == []
    assert found(host(), replace(WAS, group=())) == []
    assert found(host(), replace(WAS, slot="2")) == [], "a firmware that names no slots any more"
    assert found(changed(host(), A, slot="2")) == []


@pytest.mark.parametrize(
    ("change", "was", "now"),
    [
        ({"serial": "9"}, f"serial number {SERIAL}", "serial number 9"),
        ({"uuid": "GPU-9"}, f"UUID {UUID}", "UUID GPU-9"),
        ({"vendor_device": "10de:2204"}, "it was 10de:26b1", "it is 10de:2204"),
        # Bound to vfio-pci, two cards of a kind tell nothing but where they are.
        ({"slot": "4", "serial": None, "uuid": None}, f"UUID {UUID}, slot 2", "it is 10de:26b1, slot 4"),
    ],
)
def test_another_card_is_refused_with_what_was_and_what_is(change: dict[str, str], was: str, now: str) -> None:
    finding = only(found(changed(host(), A, **change), replace(WAS, slot="2")), "gpu-changed")
    assert finding.message.startswith(f"GPU {A} of host ws, for vm gpu-1, is not the card that this stack last saw")
    assert was in finding.message
    assert now in finding.message
    assert finding.remedy == f"if it is meant, accept it: {ACCEPT}"
    with pytest.raises(HostNotReadyError):
        refuse([finding])


def test_a_renumbered_card_is_found_where_it_is_now() -> None:
    """A card was added in a slot before: ours is at B now, and B's at C; A has the new one."""
    first, second, _ = host().gpus
    gpus = (
        first.model_copy(update={"serial": "new", "uuid": "GPU-new"}),
        second.model_copy(update={"serial": first.serial, "uuid": first.uuid}),
    )
    finding = only(found(host().model_copy(update={"gpus": gpus})), "gpu-changed")
    assert f"serial number new, UUID GPU-new; the old card is at {B} now" in finding.message
    assert finding.remedy.startswith(f"write machines[gpu-1].gpus[].address: {B}; or, if it is meant")


def test_a_card_that_is_gone_is_found_where_it_is_now_else_the_verdict_says_it() -> None:
    gone = host(cards=(B, C))  # the cards are numbered by place: the one of A's serial number is at B
    assert f"it is none; the old card is at {B} now" in only(found(gone), "gpu-changed").message
    assert found(bound(gone, B, C)) == []
    by_name = only(found(gone, None, serial=SERIAL), "gpu-changed")
    assert by_name.message == f"vm gpu-1 wants GPU {A} of host ws, which is gone; the card that it names is at {B} now"
    assert by_name.remedy == f"write machines[gpu-1].gpus[].address: {B}"


@pytest.mark.parametrize(("key", "word"), [("serial", "serial number"), ("uuid", "UUID")])
def test_the_card_that_the_settings_name_is_held_to(key: str, word: str) -> None:
    right = {"serial": SERIAL, "uuid": UUID}[key]
    assert found(host(), None, **{key: right}) == []
    finding = only(found(host(), None, **{key: "other"}), "gpu-changed")
    assert finding.message == (
        f"vm gpu-1 wants GPU {A} of host ws, which is not the card that machines[gpu-1].gpus names: it says {word}"
        f" other, there it is {right}"
    )
    assert finding.remedy == "mend serial or uuid in machines[gpu-1].gpus"
    assert found(bound(host(), A), None, **{key: "other"}) == [], "nobody knows better"


def test_the_named_card_is_found_where_it_is() -> None:
    finding = only(found(host(), None, serial="132402301"), "gpu-changed")
    assert finding.message.endswith(f"there it is {SERIAL}; the card that it names is at {B} now")
    assert finding.remedy == f"write machines[gpu-1].gpus[].address: {B}"


def test_the_settings_are_held_against_what_was_seen_where_the_card_tells_nothing() -> None:
    assert found(bound(host(), A), serial=SERIAL, uuid=UUID) == []
    finding = only(found(bound(host(), A), serial="other"), "gpu-changed")
    assert f"it says serial number other, there it last was {SERIAL}" in finding.message
    assert finding.remedy == (f"mend serial or uuid in machines[gpu-1].gpus; or, if the card was swapped: {ACCEPT}")


def regrouped(facts: HostFacts, *extra: str) -> HostFacts:
    """Add functions to the group of A."""
    groups = [
        group.model_copy(
            update={
                "devices": (
                    *group.devices,
                    *(PciDevice(address=each, kind="usb", vendor_device="10de:1ad6") for each in extra),
                )
            }
        )
        if group.id == 0
        else group
        for group in facts.iommu_groups
    ]
    return facts.model_copy(update={"iommu_groups": tuple(groups)})


def test_another_group_is_refused_with_what_came_and_went() -> None:
    usb = A[:-1] + "2"
    came = only(found(regrouped(host(), usb)), "iommu-group-changed")
    assert came.message == (
        f"the IOMMU group of GPU {A} of host ws, for vm gpu-1, is not what this stack last saw (2026-01-01): it held"
        f" {A}, {audio(A)}, it holds {A}, {audio(A)}, {usb} (new: {usb})"
    )
    assert ACCEPT in came.remedy
    went = only(found(host(), replace(WAS, group=(A, audio(A), usb))), "iommu-group-changed")
    assert went.message.endswith(f"(gone: {usb})")
    with pytest.raises(IOMMUConfigurationError):
        refuse([came])


def test_a_group_that_cannot_be_read_is_no_other_group() -> None:
    assert found(host().model_copy(update={"iommu_groups": ()})) == []


def test_swapped_and_regrouped_are_both_said() -> None:
    both = changed(regrouped(host(), A[:-1] + "2"), A, serial="9")
    assert [each.code for each in found(both)] == ["gpu-changed", "iommu-group-changed"]


def test_only_where_nobody_ever_told_it_is_remarked_on() -> None:
    never = replace(WAS, serial=None, uuid=None)
    for seen in (None, never):
        finding = only(found(bound(host(), A), seen), "gpu-unconfirmed")
        assert finding.severity == "warn"
        assert "is: the card is bound to vfio-pci, and only NVIDIA's driver tells" in finding.message
        assert "nvidia-smi -L" in finding.remedy
        assert found(bound(host(), A), seen, serial=SERIAL) == []
        assert found(bound(host(), A), seen, uuid=UUID) == []
    assert found(changed(host(), A, serial=None, uuid=None, driver=None), None)[0].message.count("no driver is bound")
    assert found(changed(host(), A, serial=None), None) == [], "a UUID is enough: consumer cards tell no serial number"


def test_the_reason_is_the_one_that_reading_the_host_gave() -> None:
    dark = bound(host(unknown={f"gpus.{A}.uuid": "nvidia-smi does not list the card"}), A)
    assert "is: nvidia-smi does not list the card, and" in only(found(dark, None), "gpu-unconfirmed").message


def test_where_the_list_of_gpus_is_not_known_nothing_is_said() -> None:
    assert found(host(cards=(), unknown={"gpus": "lspci is missing"})) == []
    assert identity([demand("gpu-1", A)], {}, {}, "cloud/prod") == []


def test_every_card_of_every_vm_is_looked_at() -> None:
    facts = bound(host(), A, B, C)
    codes = identity([demand("gpu-1", A, B), demand("gpu-2", C)], {"ws": facts}, {}, "cloud/prod")
    assert [each.vm for each in codes] == ["gpu-1", "gpu-1", "gpu-2"]
    assert all(card in each.message for card, each in zip((A, B, C), codes, strict=True))


def test_a_cards_name_survives_the_engine() -> None:
    wanted = replace(demand("gpu-1"), gpus=(GpuDemand(A, "auto", SERIAL, UUID), GpuDemand(B)))
    assert demand_from_props(demand_props(wanted)) == wanted
    assert set(demand_props(wanted)["gpus"][1]) == {"address", "siblings"}
