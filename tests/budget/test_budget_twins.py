"""The production plan on each of the lab's hosts: what is refused there, in which words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.budget import (
    Finding,
    GPUAlreadyAllocatedError,
    HostLimits,
    HostNotReadyError,
    InsufficientResourcesError,
    IOMMUConfigurationError,
    MixedPlanRefusedError,
    PlanRefusedError,
    VmDemand,
    demands_from,
    judge,
    limits_from,
    refuse,
    supply_props,
)
from cluster.host.model import HostFacts, load_facts
from cluster.settings.model import Settings

Twin = Callable[[str], HostFacts]
Judged = Callable[..., list[Finding]]


def texts(findings: list[Finding], code: str) -> list[str]:
    return [str(finding) for finding in findings if finding.code == code]


def test_workstation_carries_prod_without_a_remark(twin: Twin, judged: Judged) -> None:
    findings = judged(twin("workstation"))
    assert findings == []
    refuse(findings)


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        (
            "below-minimum",
            {
                "insufficient-cpu",
                "insufficient-ram",
                "insufficient-disk",
                "insufficient-gpus",
                "gpu-unknown",
                "nic-slow",
            },
        ),
        ("gpus-held", {"gpu-held", "insufficient-gpus"}),
        ("shared-group", {"gpu-group"}),
        ("no-iommu", {"iommu-off"}),
        ("old-gpu", {"gpu-too-old"}),
    ],
)
def test_each_twin_is_refused_for_its_own_fault_alone(name: str, codes: set[str], twin: Twin, judged: Judged) -> None:
    assert {finding.code for finding in judged(twin(name)) if finding.severity == "refuse"} == codes


def test_below_minimum_speaks_the_words_of_the_requirement(twin: Twin, judged: Judged) -> None:
    findings = judged(twin("below-minimum"))
    begin = [finding.message for finding in findings]
    for words in (
        "Insufficient ram: need 96 GB, have 64 GB",
        "Insufficient cpu: need 40 cores, have 16 cores",
        "Insufficient disk: need 1000 GB, have 500 GB",
        "Insufficient gpus: need 2, have 1",
    ):
        assert sum(message.startswith(words) for message in begin) == 1, words
    assert {finding.code for finding in findings if finding.severity == "warn"} == {"no-nvme", "gpu-memory"}
    with pytest.raises(MixedPlanRefusedError) as caught:
        refuse(findings)
    assert all(finding.message in str(caught.value) for finding in findings if finding.severity == "refuse")


def test_exactly_the_minimum_fits_and_one_less_of_anything_does_not(twin: Twin, judged: Judged) -> None:
    base = twin("workstation")
    pools = tuple(pool.model_copy(update={"capacity": 1000 * 1024, "allocated": 0}) for pool in base.pools)
    exact = base.model_copy(
        update={
            "cpu": base.cpu.model_copy(update={"cores": 40}),
            "memory": 96 * 1024,
            "pools": pools,
            "domains": (),
            "gpus": base.gpus[:2],
        }
    )
    assert judged(exact) == []
    small_pools = tuple(pool.model_copy(update={"capacity": 1000 * 1024 - 1}) for pool in pools)
    for code, change in (
        ("insufficient-cpu", {"cpu": exact.cpu.model_copy(update={"cores": 39})}),
        ("insufficient-ram", {"memory": 96 * 1024 - 1}),
        ("insufficient-disk", {"pools": small_pools}),
    ):
        findings = judged(exact.model_copy(update=change))
        assert [finding.code for finding in findings] == [code]
        with pytest.raises(InsufficientResourcesError):
            refuse(findings)


def test_held_gpus_name_holder_owner_alternative_and_command(twin: Twin, judged: Judged) -> None:
    first, second = texts(judged(twin("gpus-held")), "gpu-held")
    assert first == (
        "vm gpu-1 wants GPU 0000:41:00.0, which hpc-gpu-1 (running, owner hpc) holds; free on this host: 0000:81:00.0"
        " (NVIDIA RTX A4000); or stop it first and take 0000:41:00.0 out of it: virsh -c qemu:///system shutdown"
        " hpc-gpu-1 && virsh -c qemu:///system edit hpc-gpu-1"
    )
    assert second.startswith("vm gpu-2 wants GPU 0000:61:00.0, which hpc-gpu-2 (running, owner hpc) holds; free")


def test_kinds_of_refusal_are_kinds_of_exceptions(twin: Twin, judged: Judged) -> None:
    for name, kind in (("no-iommu", IOMMUConfigurationError), ("shared-group", IOMMUConfigurationError)):
        with pytest.raises(kind):
            refuse(judged(twin(name)))
    with pytest.raises(HostNotReadyError):
        refuse(judged(twin("old-gpu")))
    held = [finding for finding in judged(twin("gpus-held")) if finding.code == "gpu-held"]
    with pytest.raises(GPUAlreadyAllocatedError) as caught:
        refuse(held)
    assert isinstance(caught.value, PlanRefusedError)
    assert caught.value.findings == tuple(held)


def test_mixed_refusal_comes_apart_by_kind(twin: Twin, judged: Judged) -> None:
    findings = judged(twin("gpus-held"))
    with pytest.raises(MixedPlanRefusedError) as mixed:
        refuse(findings)
    gpu, rest = mixed.value.split(GPUAlreadyAllocatedError)
    assert isinstance(gpu, MixedPlanRefusedError)
    assert [finding.code for finding in gpu.findings] == ["gpu-held", "gpu-held"]
    assert isinstance(rest, MixedPlanRefusedError)
    assert [type(error) for error in rest.exceptions] == [InsufficientResourcesError]
    seen = []
    try:
        refuse(findings)
    except* GPUAlreadyAllocatedError:
        seen.append("gpu")
    except* InsufficientResourcesError:
        seen.append("sum")
    assert seen == ["gpu", "sum"]
    with pytest.raises(PlanRefusedError) as caught:
        refuse(findings)
    assert caught.value.findings == tuple(findings)


def test_shared_group_names_the_strangers_and_not_the_bridge(twin: Twin, judged: Judged) -> None:
    (text,) = texts(judged(twin("shared-group")), "gpu-group")
    assert "0000:62:00.0 (Samsung NVMe SSD" in text
    assert "0000:63:00.0 (Intel Ethernet" in text
    assert "0000:60:01.1" not in text


def test_plan_over_two_hosts_is_judged_on_each(prod: Settings) -> None:
    facts = {each.name: each for each in load_facts(Path(__file__).parents[2] / "lab/hosts/two-hosts.yaml")}
    assert list(facts) == ["workstation", "workstation-2"]
    second = prod.hosts[0].model_copy(update={"name": "workstation-2", "uri": "qemu+ssh://lab@workstation-2/system"})
    machines = tuple(
        machine.model_copy(update={"host": "workstation-2" if machine.name == "gpu-2" else "workstation"})
        for machine in prod.machines
    )
    network = prod.network.model_copy(update={"mode": "bridge", "bridge": "br0"})
    spread = prod.model_copy(update={"hosts": (prod.hosts[0], second), "machines": machines, "network": network})
    assert judge(demands_from(spread), facts, limits_from(spread), "cloud/prod") == []
    small = {**facts, "workstation-2": facts["workstation-2"].model_copy(update={"memory": 32 * 1024})}
    (found,) = judge(demands_from(spread), small, limits_from(spread), "cloud/prod")
    assert found.message.startswith(
        "Insufficient ram: need 36 GB, have 32 GB on host workstation-2 (planned 32 GB: gpu-2"
    )


def test_files_of_others_that_grow_are_no_change_of_the_plan_while_it_has_its_room(
    twin: Twin, demands: list[VmDemand], limits: HostLimits
) -> None:
    def told(taken_gib: int, plan: list[VmDemand]) -> str:
        facts = twin("workstation")
        pools = tuple(pool.model_copy(update={"allocated": taken_gib * 1024}) for pool in facts.pools)
        props = supply_props(facts.model_copy(update={"pools": pools}), "cloud/prod", limits, plan)
        return str(props["pools"][0]["allocated"])

    capacity = int(twin("workstation").pools[0].capacity or 0) // 1024
    room = capacity - limits.reserve_disk_mib // 1024 - sum(demand.disk_mib for demand in demands) // 1024
    assert {told(size, demands) for size in (24, 25, 63)} == {"64GiB"}
    # Where a step would take the plan's room, nothing is rounded but to whole GiB.
    assert [told(size, demands) for size in (room, room + 1)] == [f"{room}GiB", f"{room + 1}GiB"]
