"""Each finding by itself: a host that passes, one thing changed, the code and the words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from cluster.budget import Finding, GpuDemand, HostLimits, VmDemand, functions_of, judge, limits_from
from cluster.host.model import Domain, HostFacts, IommuGroup, Nic, PciDevice
from cluster.settings.model import Settings

Twin = Callable[[str], HostFacts]
Judged = Callable[..., list[Finding]]

GPU = "0000:41:00.0"
AUDIO = "0000:41:00.1"
POOL = "inference-cloud"


@pytest.fixture
def host(twin: Twin) -> HostFacts:
    return twin("workstation")


def vm(name: str = "gpu-1", *gpus: str | GpuDemand, cores: int = 4, memory: int = 4096) -> VmDemand:
    cards = tuple(GpuDemand(gpu) if isinstance(gpu, str) else gpu for gpu in gpus)
    return VmDemand(name, "workstation", cores, memory, {POOL: 40 * 1024}, cards)


def other(name: str, owner: str | None = "hpc", state: str = "running", **more: object) -> Domain:
    return Domain.model_validate({"name": name, "owner": owner, "state": state, "cores": 8, "memory": "16GiB", **more})


def codes(findings: list[Finding]) -> list[str]:
    return [finding.code for finding in findings]


def only(findings: list[Finding], code: str) -> Finding:
    (found,) = findings
    assert found.code == code, found
    return found


def test_virtualisation_off_and_not_known(host: HostFacts, judged: Judged) -> None:
    off = host.model_copy(update={"cpu": host.cpu.model_copy(update={"virtualization": False})})
    assert "AMD-V (SVM)" in only(judged(off), "virtualization-off").remedy
    dark = host.model_copy(
        update={
            "cpu": host.cpu.model_copy(update={"virtualization": None}),
            "unknown": {"cpu": "the machine room is locked"},
        }
    )
    assert "the machine room is locked" in only(judged(dark), "fact-unknown").message


def test_iommu_off_refuses_only_a_plan_with_gpus(host: HostFacts, judged: Judged) -> None:
    off = host.model_copy(update={"iommu": False, "iommu_groups": ()})
    assert only(judged(off, [vm("gpu-1", GPU)]), "iommu-off").severity == "refuse"
    assert only(judged(off, [vm("worker-1")]), "iommu-off").severity == "warn"
    dark = host.model_copy(update={"iommu": None})
    assert codes(judged(dark, [vm("worker-1")])) == []
    assert codes(judged(dark, [vm("gpu-1", GPU)])) == ["fact-unknown"]


@pytest.mark.parametrize(
    ("nics", "code", "words"),
    [
        ([("eno1", 100, True)], "nic-slow", "need 1000 Mb/s, have 100 Mb/s (eno1)"),
        ([("eno1", 10000, False)], "nic-slow", "no link that is up"),
        ([], "nic-slow", "no link that is up"),
        ([("eno1", None, True), ("eno2", 100, True)], "fact-unknown", "link speed of eno1"),
    ],
)
def test_slow_or_unknown_link(
    nics: list[tuple[str, int | None, bool]], code: str, words: str, host: HostFacts, judged: Judged
) -> None:
    slow = host.model_copy(update={"nics": tuple(Nic(name=n, mbps=speed, up=up) for n, speed, up in nics)})
    assert words in only(judged(slow), code).message


def test_exactly_one_gigabit_is_enough(host: HostFacts, judged: Judged) -> None:
    assert judged(host.model_copy(update={"nics": (Nic(name="eno1", mbps=1000),)})) == []


def test_old_software_is_told_not_refused(host: HostFacts, judged: Judged) -> None:
    old = host.model_copy(update={"kernel": "6.1.0-42-amd64", "libvirt": "9.0.0", "qemu": "7.2.15"})
    findings = judged(old)
    assert [(f.code, f.severity) for f in findings] == [("software-old", "warn")] * 2
    assert "kernel 6.1.0-42-amd64" in findings[0].message
    assert "qemu 7.2.15" in findings[1].message


def test_bridge_must_be_there(host: HostFacts, judged: Judged, limits: HostLimits) -> None:
    missing = only(judged(host, host=replace(limits, bridge="br0")), "bridge-missing")
    assert "no bridge br0 (there: virbr0)" in missing.message
    assert judged(host, host=replace(limits, bridge="virbr0")) == []


def test_name_of_a_vm_of_others_is_taken(host: HostFacts, judged: Judged) -> None:
    there = host.model_copy(update={"domains": (other("worker-1", None, "shut-off"),)})
    assert "worker-1 is already defined on host workstation (shut-off, owner not known)" in (
        only(judged(there), "vm-name-taken").message
    )
    ours = host.model_copy(update={"domains": (other("worker-1", "cloud/prod"),)})
    assert judged(ours) == []


def test_unknown_host_names_the_known_ones(host: HostFacts) -> None:
    plan = [replace(vm("a"), host="elsewhere")]
    found = only(judge(plan, {"workstation": host}, {}, "cloud/prod"), "host-unknown")
    assert (found.host, found.vm) == ("elsewhere", "a")
    assert "known hosts: workstation" in found.message


def test_pool_by_name_wins_over_path_and_longest_path_over_shorter(host: HostFacts, judged: Judged) -> None:
    tight = host.pools[0].model_copy(update={"name": "srv", "path": "/var/lib/libvirt", "capacity": 200 * 1024})
    by_path = host.model_copy(update={"pools": (host.pools[1], tight)})
    assert codes(judged(by_path)) == ["insufficient-disk"]
    by_name = host.model_copy(update={"pools": (tight, host.pools[0].model_copy(update={"name": POOL, "path": "/x"}))})
    assert judged(by_name) == []
    beside = tight.model_copy(update={"path": "/var/lib/libvirt/inference"})  # a prefix of letters, not of folders
    assert codes(judged(host.model_copy(update={"pools": (beside,)}))) == ["pool-missing"]


def test_running_vms_of_others_count_and_stopping_them_is_offered(host: HostFacts, judged: Judged) -> None:
    busy = host.model_copy(
        update={
            "domains": (
                other("hpc-1", cores=20, memory="100GiB"),
                other("hpc-2", state="paused", cores=2, memory="70GiB"),
                other("hpc-3", state="shut-off", cores=60, memory="250GiB"),
                other("gpu-1", "cloud/prod", cores=12, memory="32GiB"),
            )
        }
    )
    found = only(judged(busy), "insufficient-ram")
    assert found.message.startswith("Insufficient ram: need 266 GB, have 256 GB on host workstation (planned 92 GB:")
    assert "others 170 GB: hpc-1 (owner hpc) 100 GB, hpc-2 (owner hpc) 70 GB; reserve of the host 4 GB" in found.message
    assert found.remedy.startswith("stopping hpc-1 is enough: virsh -c qemu:///system shutdown hpc-1; or")


def test_stopping_is_not_offered_where_it_would_not_help(host: HostFacts, judged: Judged) -> None:
    small = host.model_copy(update={"memory": 64 * 1024, "domains": (other("hpc-1"),)})
    assert "hpc-1" not in only(judged(small), "insufficient-ram").remedy


def test_own_way_of_stopping_is_named(host: HostFacts, judged: Judged, limits: HostLimits) -> None:
    busy = host.model_copy(update={"domains": (other("hpc-1", memory="250GiB"),)})
    remedy = only(judged(busy, host=replace(limits, stop="hpcctl drain")), "insufficient-ram").remedy
    assert "hpcctl drain hpc-1" in remedy


def test_overcommit_of_cores_is_a_setting(host: HostFacts, judged: Judged, limits: HostLimits) -> None:
    small = host.model_copy(update={"cpu": host.cpu.model_copy(update={"cores": 32})})
    assert codes(judged(small)) == ["insufficient-cpu"]
    assert judged(small, host=replace(limits, vcpus_per_core=1.5)) == []


@pytest.mark.parametrize("fact", ["memory", "cores", "domains", "gpus"])
def test_a_needed_fact_that_is_not_known_refuses_with_its_reason(fact: str, host: HostFacts, judged: Judged) -> None:
    changes: dict[str, dict[str, object]] = {
        "memory": {"memory": None, "unknown": {"memory": "why"}},
        "cores": {"cpu": host.cpu.model_copy(update={"cores": None}), "unknown": {"cpu.cores": "why"}},
        "domains": {"domains": (), "unknown": {"domains": "why"}},
        "gpus": {"gpus": (), "unknown": {"gpus": "why"}},
    }
    found = only(judged(host.model_copy(update=changes[fact])), "fact-unknown")
    assert found.message.endswith("is not known: why")
    assert "cloudctl host facts > FILE" in found.remedy


def test_unknown_pool_space_refuses(host: HostFacts, judged: Judged) -> None:
    dark = host.pools[0].model_copy(update={"name": POOL, "capacity": None})
    found = only(
        judged(host.model_copy(update={"pools": (dark,), "unknown": {f"pools.{POOL}": "not active"}})), "fact-unknown"
    )
    assert "not active" in found.message


def test_gpu_wanted_twice_and_by_its_sibling(host: HostFacts, judged: Judged) -> None:
    twice = only(judged(host, [vm("a", GPU), vm("b", GPU)]), "gpu-duplicate")
    assert twice.vm == "b"
    assert "planned for vm a as well" in twice.message
    assert "0000:61:00.0" in twice.remedy


def test_holders(host: HostFacts, judged: Judged) -> None:
    def held_by(*domains: Domain) -> list[Finding]:
        return judged(host.model_copy(update={"domains": domains}), [vm("gpu-1", GPU)])

    assert held_by(other("gpu-1", "cloud/prod", hostdevs=[GPU, AUDIO])) == []
    defined = only(held_by(other("hpc-9", state="shut-off", hostdevs=[GPU])), "gpu-held")
    assert "hpc-9 (shut-off, owner hpc)" in defined.message
    assert "shutdown" not in defined.remedy
    assert "virsh -c qemu:///system edit hpc-9" in defined.remedy
    moved = only(held_by(other("gpu-9", "cloud/prod", hostdevs=[GPU])), "gpu-held")
    assert "gpu-9 of this same stack still holds" in moved.message
    assert "in two updates" in moved.remedy
    sibling = only(held_by(other("hpc-9", hostdevs=[AUDIO])), "gpu-held")
    assert f"{GPU} with {AUDIO}" in sibling.message
    both = held_by(other("gpu-1", "cloud/prod", hostdevs=[GPU]), other("hpc-9", state="shut-off", hostdevs=[GPU]))
    assert "hpc-9" in only(both, "gpu-held").message
    same_name = held_by(other("gpu-1", "cloud/dev", hostdevs=[GPU]))
    assert set(codes(same_name)) == {"vm-name-taken", "gpu-held"}


def with_group(host: HostFacts, *extra: PciDevice) -> HostFacts:
    groups = tuple(
        IommuGroup(id=group.id, devices=(*group.devices, *extra)) if group.id == 41 else group
        for group in host.iommu_groups
    )
    return host.model_copy(update={"iommu_groups": groups})


USB = PciDevice(address="0000:42:00.0", kind="usb", vendor_device="1b21:2142", name="USB controller")
PORT = PciDevice(address="0000:40:01.1", kind="bridge", vendor_device="1022:14ab")


def test_group_auto_takes_the_card_and_lets_bridges_be(host: HostFacts, judged: Judged) -> None:
    assert judged(with_group(host, PORT), [vm("a", GPU)]) == []
    assert functions_of(with_group(host, PORT), GpuDemand(GPU)) == (GPU, AUDIO)
    assert "USB controller" in only(judged(with_group(host, USB), [vm("a", GPU)]), "gpu-group").message


def test_group_list_must_match_exactly(host: HostFacts, judged: Judged) -> None:
    def listed(*siblings: str) -> list[Finding]:
        return judged(with_group(host, USB, PORT), [vm("a", GpuDemand(GPU, siblings))])

    assert listed(AUDIO, USB.address) == []
    assert f"leaves out {USB.address}" in only(listed(AUDIO), "gpu-group").message
    assert (
        "lists 0000:99:00.0, not in the group" in only(listed(AUDIO, USB.address, "0000:99:00.0"), "gpu-group").message
    )
    assert functions_of(host, GpuDemand(GPU, (AUDIO,))) == (GPU, AUDIO)


def test_group_not_known(host: HostFacts, judged: Judged) -> None:
    dark = host.model_copy(update={"iommu_groups": (), "unknown": {"iommu_groups": "sysfs is not there"}})
    assert "sysfs is not there" in only(judged(dark, [vm("a", GPU)]), "fact-unknown").message


def test_capability_not_known_and_double_digits(host: HostFacts, judged: Judged) -> None:
    def with_capability(text: str | None) -> list[Finding]:
        gpu = host.gpus[0].model_copy(update={"compute_capability": text})
        return judged(host.model_copy(update={"gpus": (gpu, *host.gpus[1:])}), [vm("a", GPU)])

    assert only(with_capability(None), "fact-unknown").vm == "a"
    assert with_capability("12.0") == []
    assert with_capability("7.0") == []
    assert codes(with_capability("6.9")) == ["gpu-too-old"]


def test_small_gpu_memory_is_told(host: HostFacts, judged: Judged) -> None:
    gpu = host.gpus[0]
    for memory, expected in ((23034, []), (16376, ["gpu-memory"]), (None, ["gpu-memory"])):
        facts = host.model_copy(update={"gpus": (gpu.model_copy(update={"memory": memory}),)})
        assert codes(judged(facts, [vm("a", GPU)])) == expected


def test_limits_follow_settings(prod: Settings) -> None:
    limits = limits_from(prod)["workstation"]
    assert (limits.reserve_cores, limits.reserve_memory_mib, limits.reserve_disk_mib) == (4, 4 * 1024, 100 * 1024)
    assert limits.pools == {POOL: "/var/lib/libvirt/inference-cloud"}
    assert limits.bridge is None
    network = prod.network.model_copy(update={"mode": "bridge", "bridge": "br0"})
    assert limits_from(prod.model_copy(update={"network": network}))["workstation"].bridge == "br0"
