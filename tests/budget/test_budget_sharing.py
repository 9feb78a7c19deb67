"""GPUs that the HPC cluster's VMs define as well: no conflict while these are off and have no lease."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from cluster.budget import (
    Finding,
    GPUAlreadyAllocatedError,
    HostLimits,
    facts_from_props,
    judge,
    limits_from_props,
    limits_props,
    nearest_fit,
    refuse,
    supply_props,
    usable_gpus,
)
from cluster.budget.plan import HostPlan
from cluster.host.model import HostFacts, dump_facts
from cluster.host.source import facts_for
from cluster.settings.model import Settings
from policies.verdict import policy_of
from tests.leases.lease_hosts import A, B, audio, demand, host, vm

SHARED = HostLimits(sharer="hpc")
PLAN = [demand("gpu-1", A)]
OFF = vm("hpc-1", "hpc", A, state="shut-off")


def judged(facts: HostFacts, limits: HostLimits) -> list[Finding]:
    return judge(PLAN, {"ws": facts}, {"ws": limits}, "cloud/prod")


def twice(facts: HostFacts, limits: HostLimits) -> list[Finding]:
    """Judge as the program does, and as a policy does, from what the engine hands it: they must say the same."""
    here = judged(facts, limits)
    props = json.loads(json.dumps({"facts": supply_props(facts, "cloud/prod", limits), "limits": limits_props(limits)}))
    assert judged(facts_from_props(props["facts"]), limits_from_props(props["limits"])) == here
    return here


def only(findings: list[Finding], code: str) -> Finding:
    (found,) = findings
    assert found.code == code
    return found


def test_a_vm_that_is_off_is_in_the_way_only_without_the_agreement() -> None:
    assert twice(host(OFF), SHARED) == []
    assert only(twice(host(OFF), HostLimits()), "gpu-held").severity == "refuse"
    stranger = vm("other-1", "other", A, state="shut-off")
    assert only(twice(host(stranger), SHARED), "gpu-held").severity == "refuse", "the agreement is with one"
    nobody = vm("hpc-1", None, A, state="shut-off")
    assert only(twice(host(nobody), SHARED), "gpu-held").severity == "refuse"


@pytest.mark.parametrize("state", ["running", "paused"])
def test_a_running_one_is_refused_with_the_way_out(state: str) -> None:
    finding = only(twice(host(OFF | {"state": state}), SHARED), "gpu-held")
    assert finding.message == f"vm gpu-1 wants GPU {A}, which hpc-1 ({state}, owner hpc) holds"
    assert finding.remedy.startswith(f"free on this host: {B}")
    assert finding.remedy.endswith("; or take it back: cloudctl flip serve")


def test_one_that_has_the_lease_is_refused_though_it_is_off() -> None:
    lent = replace(SHARED, lent=(A,))
    finding = only(twice(host(OFF), lent), "gpu-leased")
    assert "whose lease hpc holds" in finding.message
    assert finding.remedy == "take it back: cloudctl flip serve"
    with pytest.raises(GPUAlreadyAllocatedError):
        refuse([finding])
    assert len(twice(host(OFF | {"state": "running"}), lent)) == 1, "said once"
    assert twice(host(OFF), replace(SHARED, lent=(B,))) == []


def test_one_that_starts_with_the_host_is_remarked_on() -> None:
    finding = only(twice(host(OFF | {"autostart": True}), SHARED), "gpu-shared-autostart")
    assert finding.severity == "warn"
    assert finding.remedy == "switch that off: virsh -c qemu:///system autostart --disable hpc-1"
    sibling = OFF | {"autostart": True, "hostdevs": [audio(A)]}
    assert only(twice(host(sibling), SHARED), "gpu-shared-autostart")
    assert twice(host(OFF | {"autostart": True, "hostdevs": [B]}), SHARED) == []


def test_the_policies_have_a_place_for_these_findings() -> None:
    for findings in (judged(host(OFF | {"autostart": True}), SHARED), judged(host(), replace(SHARED, lent=(A,)))):
        assert {policy_of(each) for each in findings if "gpu" in each.code} == {"gpu-allocation"}


def test_policies_see_no_difference_between_a_host_and_a_file_of_its_facts() -> None:
    assert supply_props(host(), "cloud/prod") == supply_props(host(live=False), "cloud/prod")


def test_what_is_free_counts_shared_cards_and_not_lent_ones() -> None:
    def free(limits: HostLimits) -> list[str]:
        plan = HostPlan(host(OFF, vm("hpc-2", "hpc", B)), (), limits, "cloud/prod", "ws")
        return [card.address for card in usable_gpus(plan)]

    assert free(SHARED)[0] == A
    assert A not in free(HostLimits())
    assert A not in free(replace(SHARED, lent=(A,)))
    assert B not in free(SHARED)


def test_limits_without_an_agreement_are_the_props_that_they_were() -> None:
    assert not {"sharer", "lent"} & limits_props(HostLimits()).keys()
    assert limits_props(replace(SHARED, lent=(A,)))["lent"] == [A]
    assert limits_from_props(limits_props(replace(SHARED, lent=(A,)))) == replace(SHARED, lent=(A,))


def test_the_nearest_plan_leaves_a_lent_card_alone(prod: Settings, twin: Callable[[str], HostFacts]) -> None:
    facts = twin("workstation")
    lent = HostLimits(
        pools={"inference-cloud": "/var/lib/libvirt/inference-cloud"}, sharer="hpc", lent=("0000:41:00.0",)
    )
    found = nearest_fit(prod, {"workstation": facts}, "cloud/prod", {"workstation": lent})
    cards = {gpu.address for machine in found.settings.machines for gpu in machine.gpus}
    assert found.fits
    assert "0000:41:00.0" not in cards
    named = prod.model_copy(
        update={
            "machines": tuple(
                each.model_copy(update={"gpus": tuple(gpu.model_copy(update={"serial": "1"}) for gpu in each.gpus)})
                for each in prod.machines
            )
        }
    )
    changes = nearest_fit(named, {"workstation": facts}, "cloud/prod", {"workstation": lent})
    assert [(each.path, each.after) for each in changes if ".gpus[" in each.path] == [
        ("machines[2].gpus[0].address", "0000:81:00.0"),
        ("machines[2].gpus[0].serial", None),
    ]


@pytest.mark.parametrize("vms", [("node-7",), ()])
def test_the_other_clusters_vms_are_those_listed_and_those_named_after_it(tmp_path: Path, vms: tuple[str, ...]) -> None:
    file = tmp_path / "ws.yaml"
    domains = [vm("node-7", None, A), vm("hpc-1", None, B), vm("hpc-2", "cloud/dev"), vm("desktop", None)]
    file.write_text(dump_facts(host(*domains)))
    raw = {
        "hosts": [{"name": "ws", "facts": str(file)}],
        "machines": yaml.safe_load(MACHINES),
        "hpc": {"name": "hpc", "vms": list(vms)},
    }
    owners = {each.name: each.owner for each in facts_for(Settings.model_validate(raw))["ws"].domains}
    assert owners == {
        "node-7": "hpc" if vms else None,
        "hpc-1": "hpc",
        "hpc-2": "cloud/dev",
        "desktop": None,
    }


MACHINES = "[{name: a, role: control-plane, cores: 2, memory: 4GiB, disk: 40GiB, address: 192.168.200.11}]"
