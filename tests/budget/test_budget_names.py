"""What others have already on a host, and hosts that cannot be asked: one clear finding each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from cluster.budget import Finding, HostLimits, VmDemand, judge, limits_from, refusals
from cluster.host.assemble import assemble
from cluster.host.model import Domain, HostFacts, NetworkFacts, Nic, PoolFacts
from cluster.host.sections import Sections
from cluster.identity import libvirt_uuid, mac_address
from cluster.settings.model import Settings

Twin = Callable[[str], HostFacts]
Judged = Callable[..., list[Finding]]

HOST, STACK, NAME = "workstation", "prod", "inference-cloud"
PATH = "/var/lib/libvirt/inference-cloud"
CIDR = "192.168.200.0/24"
STRANGE = "11111111-2222-3333-4444-555555555555"
OURS = {kind: libvirt_uuid(STACK, HOST, kind, NAME) for kind in ("network", "pool")}


@pytest.fixture
def host(twin: Twin) -> HostFacts:
    return twin(HOST)


def only(findings: list[Finding], code: str) -> Finding:
    (found,) = findings
    assert found.code == code, found
    return found


def network(name: str = "lab", uuid: str | None = STRANGE, cidr: str | None = CIDR, **more: object) -> NetworkFacts:
    return NetworkFacts.model_validate({"name": name, "uuid": uuid, "cidr": cidr, "bridge": "virbr5", **more})


def pool(uuid: str | None, path: str = PATH, *, active: bool = True, name: str = NAME) -> PoolFacts:
    size = 3600 * 1024 if active else None
    raw = {"name": name, "path": path, "device": "nvme", "uuid": uuid, "active": active}
    return PoolFacts.model_validate({**raw, "capacity": f"{size}MiB" if size else None})


def test_a_network_of_our_name_made_by_someone_else(host: HostFacts, judged: Judged) -> None:
    found = only(judged(host.model_copy(update={"networks": (network(NAME),)})), "network-taken")
    assert found.severity == "refuse"
    assert f"libvirt network {NAME} of host {HOST} was made by someone else (uuid {STRANGE})" in found.message
    assert f"virsh -c qemu:///system net-dumpxml {NAME}" in found.remedy


@pytest.mark.parametrize("uuid", [OURS["network"], None])
def test_our_own_network_is_no_clash_and_one_without_uuid_is_from_a_file(
    uuid: str | None, host: HostFacts, judged: Judged
) -> None:
    assert judged(host.model_copy(update={"networks": (network(NAME, uuid),), "routes": {CIDR: "virbr5"}})) == []


def test_our_network_under_its_former_name_is_no_clash(host: HostFacts, judged: Judged) -> None:
    former = network("before", libvirt_uuid(STACK, HOST, "network", "before"))
    assert judged(host.model_copy(update={"networks": (former,), "routes": {CIDR: "virbr5"}})) == []


@pytest.mark.parametrize(
    ("cidr", "active", "severity"),
    [
        (CIDR, True, "refuse"),
        ("192.168.200.64/26", True, "refuse"),
        ("192.168.0.0/16", True, "refuse"),
        (CIDR, False, "warn"),
    ],
)
def test_a_network_in_the_same_range(cidr: str, active: bool, severity: str, host: HostFacts, judged: Judged) -> None:
    found = only(judged(host.model_copy(update={"networks": (network(cidr=cidr, active=active),)})), "network-overlap")
    assert found.severity == severity
    assert f"network.cidr {CIDR} overlaps libvirt network lab ({cidr})" in found.message


@pytest.mark.parametrize("cidr", ["192.168.201.0/24", "10.0.0.0/8", None])
def test_other_networks_are_nobodys_business(cidr: str | None, host: HostFacts, judged: Judged) -> None:
    assert judged(host.model_copy(update={"networks": (network(cidr=cidr),)})) == []


@pytest.mark.parametrize(
    ("route", "severity"), [(CIDR, "refuse"), ("192.168.200.128/25", "refuse"), ("192.168.0.0/16", "warn")]
)
def test_an_interface_of_the_host_in_the_same_range(route: str, severity: str, host: HostFacts, judged: Judged) -> None:
    found = only(judged(host.model_copy(update={"routes": {route: "eno1"}})), "network-overlap")
    assert (found.severity, f"which host {HOST} reaches by interface eno1" in found.message) == (severity, True)
    assert "ip -4 route" in found.remedy


def test_a_network_whose_range_is_not_known_hides_no_route(host: HostFacts, judged: Judged) -> None:
    hidden = network(cidr=None).model_copy(update={"name": "lab", "bridge": "virbr9"})
    found = judged(host.model_copy(update={"networks": (hidden,), "routes": {CIDR: "virbr9"}}))
    assert "by interface virbr9" in only(found, "network-overlap").message


def test_on_a_bridge_the_host_is_in_the_same_network_on_purpose(
    host: HostFacts, judged: Judged, prod: Settings
) -> None:
    bridged = prod.model_copy(
        update={"network": prod.network.model_copy(update={"mode": "bridge", "bridge": "virbr0"})}
    )
    limits = limits_from(bridged)[HOST]
    assert limits.cidr is None
    there = host.model_copy(update={"networks": (network(cidr=None),), "routes": {CIDR: "virbr0"}})
    assert judged(there, host=limits) == []


def test_a_pool_of_our_name_made_by_someone_else(host: HostFacts, judged: Judged) -> None:
    found = only(judged(host.model_copy(update={"pools": (pool(STRANGE),)})), "pool-taken")
    assert "was made by someone else" in found.message
    assert f"hosts[{HOST}].pool.name" in found.remedy
    assert judged(host.model_copy(update={"pools": (pool(OURS["pool"]), pool(STRANGE, "/x", name="other"))})) == []


def test_a_pool_of_ours_does_not_move(host: HostFacts, judged: Judged) -> None:
    found = only(judged(host.model_copy(update={"pools": (pool(OURS["pool"], "/srv/vms"),)})), "pool-moved")
    assert f"lies at /srv/vms, and the settings say {PATH}" in found.message
    assert "pool.path back to /srv/vms" in found.remedy
    assert judged(host.model_copy(update={"pools": (pool(OURS["pool"], PATH + "/"),)})) == []


def test_a_pool_of_ours_that_is_not_started(host: HostFacts, judged: Judged) -> None:
    found = only(judged(host.model_copy(update={"pools": (pool(OURS["pool"], active=False),)})), "pool-inactive")
    assert f"virsh -c qemu:///system pool-start {NAME} && virsh -c qemu:///system pool-autostart {NAME}" in found.remedy


def test_an_address_that_answers_from_elsewhere(host: HostFacts, judged: Judged) -> None:
    answers = {"192.168.200.11": "a8:a1:59:00:00:01", "192.168.200.99": "a8:a1:59:00:00:02"}
    found = only(judged(host.model_copy(update={"answers": answers})), "address-in-use")
    assert "address 192.168.200.11 of vm control-1 answers" in found.message
    assert "a8:a1:59:00:00:01 has it" in found.message
    assert "machines[].address" in found.remedy


def test_our_own_vm_at_its_address_is_no_conflict(host: HostFacts, judged: Judged) -> None:
    for name in ("control-1", "worker-1"):  # the second one: addresses that were swapped between our own
        answers = {"192.168.200.11": mac_address(STACK, name)}
        assert judged(host.model_copy(update={"answers": answers})) == []
    of_another_stack = {"192.168.200.11": mac_address("dev", "control-1")}
    assert only(judged(host.model_copy(update={"answers": of_another_stack})), "address-in-use")


@pytest.mark.parametrize(
    ("mtu", "wanted", "fits"), [(None, 1500, True), (9000, 9000, True), (None, 9000, False), (9000, 1500, False)]
)
def test_a_network_of_ours_keeps_the_mtu_that_it_was_made_with(
    host: HostFacts, judged: Judged, limits: HostLimits, mtu: int | None, wanted: int, fits: bool
) -> None:
    ours = network(NAME, OURS["network"], mtu=mtu)
    found = judged(host.model_copy(update={"networks": (ours,)}), host=replace(limits, mtu=wanted))
    if fits:
        assert found == []
        return
    told = only(found, "network-mtu")
    assert (
        f"network.mtu is {wanted}, and libvirt network {NAME} of host {HOST} was made with {mtu or 1500}"
        in told.message
    )
    assert f'net-edit {NAME} (<mtu size="{wanted}"/>)' in told.remedy
    of_others = network(NAME + "-b", STRANGE, cidr="10.9.0.0/24", mtu=mtu)
    assert judged(host.model_copy(update={"networks": (of_others,)}), host=replace(limits, mtu=wanted)) == []


def test_two_hosts_that_are_one_machine_are_refused(host: HostFacts, limits: HostLimits) -> None:
    one = host.model_copy(update={"machine": ("libvirt a", "boot 1")})
    other = host.model_copy(update={"name": "same", "machine": ("libvirt made up anew", "boot 1")})
    plan = [VmDemand("a", HOST, 1, 1024, {}), VmDemand("b", "same", 1, 1024, {})]
    both = {HOST: limits, "same": limits}
    found = [each for each in judge(plan, {HOST: one, "same": other}, both, "cloud/prod") if each.code == "host-twice"]
    assert [each.message for each in found] == [
        "hosts workstation and same are one machine (boot 1): its memory and GPUs would be given away twice"
    ]
    elsewhere = other.model_copy(update={"machine": ("libvirt b", "boot 2")})
    unknown = other.model_copy(update={"machine": ()})
    for facts in (elsewhere, unknown):
        assert "host-twice" not in {each.code for each in judge(plan, {HOST: one, "same": facts}, both, "cloud/prod")}


def test_a_vm_that_is_renamed_and_keeps_its_address_is_told_why_that_takes_two_updates(
    host: HostFacts, judged: Judged, limits: HostLimits
) -> None:
    old = {"name": "control-0", "owner": f"cloud/{STACK}", "state": "running", "cores": 1, "memory": "1GiB"}
    mac = mac_address(STACK, "control-0")
    seen = host.model_copy(
        update={"answers": {"192.168.200.11": mac}, "domains": (*host.domains, Domain.model_validate(old))}
    )
    found = only(judged(seen), "address-in-use")
    assert found.message == (
        "address 192.168.200.11 of vm control-1 is that of control-0, which is not planned any more and goes only after"
        " control-1 is made: in one update a VM is not renamed with its address"
    )
    assert "first take control-0 out, then add control-1" in found.remedy
    others = seen.model_copy(update={"domains": (Domain.model_validate({**old, "owner": "cloud/dev"}),)})
    assert "none of the VMs that this stack plans" in only(judged(others), "address-in-use").message
    # The API's address goes from one of our control planes to another by itself.
    api = seen.model_copy(update={"answers": {"192.168.200.10": mac}})
    assert judged(api, host=replace(limits, api_address="192.168.200.10")) == []


def test_the_address_of_the_api_is_looked_at_too(host: HostFacts, judged: Judged, limits: HostLimits) -> None:
    with_api = replace(limits, api_address="192.168.200.10")
    taken = host.model_copy(update={"answers": {"192.168.200.10": "a8:a1:59:00:00:01"}})
    assert "network.api_address" in only(judged(taken, host=with_api), "address-in-use").remedy
    assert judged(taken) == []


def test_addresses_that_nobody_could_ask_for_are_told(host: HostFacts, judged: Judged) -> None:
    dark = host.model_copy(update={"unknown": {"answers": "ip is not installed"}})
    found = only(judged(dark), "address-unasked")
    assert (found.severity, "ip is not installed" in found.message) == ("warn", True)


def test_emulation_that_is_meant_is_told_and_not_refused(host: HostFacts, judged: Judged, limits: HostLimits) -> None:
    meant = replace(limits, emulation=True)
    for virtualization, code in ((False, "virtualization-off"), (None, "virtualization-off"), (True, "emulation-on")):
        facts = host.model_copy(update={"cpu": host.cpu.model_copy(update={"virtualization": virtualization})})
        found = only(judged(facts, host=meant), code)
        assert (found.severity, "VMs run in emulation" in found.message) == ("warn", True)
    off = host.model_copy(update={"cpu": host.cpu.model_copy(update={"virtualization": False})})
    assert only(judged(off), "virtualization-off").severity == "refuse"


# As captured from virsh of libvirt 9.0 and ssh, by what was asked for; see tests/cluster/test_remedies.py.
SILENT = {
    "error: failed to connect to the hypervisor error: Failed to connect socket to"
    " '/var/run/libvirt/libvirt-sock-ro': Permission denied": "sudo usermod -aG libvirt $USER, then log in again",
    "error: failed to connect to the hypervisor error: Failed to connect socket to"
    " '/var/run/libvirt/libvirt-sock-ro': No such file or directory": "systemctl enable --now libvirtd",
    "error: failed to connect to the hypervisor error: internal error: unexpected qemu URI path '/sistem',"
    " try qemu:///system": "write qemu:///system",
    "virsh is not installed": "apt-get install libvirt-clients",
    "ssh could not read host far: ssh: Could not resolve hostname far: Name or service not known": "hosts[].uri",
    "ssh could not read host far: lab@far: Permission denied (publickey).": "ssh-copy-id",
    "virsh did not answer within 20 s": "systemctl status libvirtd",
    "something that nobody has seen yet": "virsh -c qemu:///sistem list",
}


@pytest.mark.parametrize("words", SILENT)
def test_a_host_that_cannot_be_asked_is_one_refusal(words: str, prod: Settings) -> None:
    facts = assemble(HOST, Sections({}, {"libvirt": words}))
    limits = {HOST: replace(limits_from(prod)[HOST], uri="qemu:///sistem")}
    demands = [VmDemand("a", HOST, 4, 4096, {NAME: 1024})]
    found = only(judge(demands, {HOST: facts}, limits, "cloud/prod"), "host-unreachable")
    assert found.severity == "refuse"
    assert f"libvirt of host {HOST} cannot be asked at qemu:///sistem" in found.message
    assert words in found.message
    assert SILENT[words] in found.remedy


def test_what_else_is_wrong_with_a_silent_host_is_still_said(host: HostFacts, judged: Judged) -> None:
    small = host.model_copy(
        update={
            "memory": 8 * 1024,
            "domains": (),
            "unknown": {"libvirt": "gone", "domains": "gone", "networks": "gone", "nics": "no sysfs"},
            "nics": (),
        }
    )
    codes = [finding.code for finding in refusals(judged(small))]
    assert codes == ["host-unreachable", "fact-unknown", "insufficient-ram"]


def test_a_user_who_may_only_read(host: HostFacts, judged: Judged) -> None:
    words = "error: Failed to connect socket to '/var/run/libvirt/libvirt-sock': Permission denied"
    found = only(judged(host.model_copy(update={"denied": words})), "libvirt-denied")
    assert "may be read but not used" in found.message
    assert "sudo usermod -aG libvirt $USER" in found.remedy


def test_the_link_of_a_host_that_emulates_is_only_told(host: HostFacts, judged: Judged, limits: HostLimits) -> None:
    slow = host.model_copy(update={"nics": (Nic(name="eth0", mbps=100, up=True),)})
    blind = host.model_copy(update={"nics": (Nic(name="eth0", mbps=None, up=True),), "unknown": {"nics.eth0": "no"}})
    for facts, code in ((slow, "nic-slow"), (blind, "fact-unknown")):
        assert [(each.code, each.severity) for each in judged(facts) if each.code == code] == [(code, "refuse")]
        meant = judged(facts, host=replace(limits, emulation=True))
        assert [(each.code, each.severity) for each in meant if each.code == code] == [(code, "warn")]
