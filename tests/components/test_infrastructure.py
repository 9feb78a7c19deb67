"""Hosts, images, VMs: what is registered, under whom, with which inputs, in which order."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pulumi
import pytest
from pulumi_command import local

from cluster.identity import mac_address
from components import provisioning
from components.base import TaskComponent
from tests.components.flow import program
from tests.components.plan import UNKNOWN, Plan, plan
from tests.components.samples import raw, settings

LIBVIRT = "libvirt:index"
DOMAIN = f"{LIBVIRT}/domain:Domain"
MACHINE = "cloud:kubernetes:Machine"


@pytest.fixture(scope="module")
def up() -> Plan:
    return plan(program(settings()))


@pytest.fixture(scope="module")
def preview() -> Plan:
    return plan(program(settings()), preview=True)


def one(found: Plan, token: str, name: str) -> Any:
    return next(each for each in found.of_type(token) if each.name == name)


def image(found: Plan, kind: str = "base", host: str = "box") -> str:
    """Return the name of an image's copy in a host's pool."""
    return f"{host}-image-{kind}-{found[f'image-{kind}'].inputs['triggers'][0]}"


def test_the_chain_of_parents_is_in_the_urn(up: Plan) -> None:
    root = up["gpu-1-root"]
    chain = "cloud:kubernetes:MachinePool$cloud:kubernetes:Machine$libvirt:index/volume:Volume"
    assert root.urn == f"urn:pulumi:prod::inference-cloud::{chain}::gpu-1-root"


def test_the_parent_wins_over_what_options_say() -> None:
    def build() -> None:
        stranger = TaskComponent("cloud:test:Stranger", "stranger", "CLOUD-0.1", {})
        mine = TaskComponent("cloud:test:Mine", "mine", "CLOUD-0.1", {})
        local.Command("child", create="true", opts=mine.child(pulumi.ResourceOptions(parent=stranger)))

    assert "cloud:test:Mine$command:local:Command" in plan(build)["child"].urn


def test_every_component_says_its_task(up: Plan) -> None:
    tasks = {each.type: each.inputs["task"] for each in up.resources.values() if each.type.startswith("cloud:")}
    assert tasks == {
        "cloud:foundation:Host": "CLOUD-0.1",
        "cloud:foundation:Provisioning": "CLOUD-0.2",
        "cloud:images:BaseImage": "CLOUD-1.1",
        "cloud:images:GpuImage": "CLOUD-1.2",
        "cloud:kubernetes:MachinePool": "CLOUD-2.1",
        "cloud:kubernetes:Machine": "CLOUD-2.1",
        "cloud:kubernetes:Cluster": "CLOUD-2.1",
        "cloud:testing:Acceptance": "CLOUD-7.1",
    }


def test_every_resource_has_an_explicit_provider(up: Plan) -> None:
    custom = [each for each in up.resources.values() if not each.type.startswith(("cloud:", "pulumi:providers:"))]
    assert [each.name for each in custom if not each.provider] == []
    wrong = [each.name for each in custom if (":libvirt::" in each.provider) != each.type.startswith("libvirt:")]
    assert wrong == []


def test_policies_see_facts_plan_and_limits_in_a_preview(preview: Plan) -> None:
    props = preview["box"].inputs
    assert props["facts"]["memory"] == "256GiB"
    assert [vm["name"] for vm in props["plan"]] == ["control-1", "worker-1", "gpu-1"]
    assert props["limits"]["reserve_cores"] == 4
    assert (props["uri"], props["pool"], props["owner"]) == ("qemu:///system", "inference-cloud", "cloud/prod")
    assert UNKNOWN not in json.dumps(props)


def test_policies_see_each_vm_in_a_preview(preview: Plan) -> None:
    props = one(preview, MACHINE, "gpu-1").inputs
    assert props["gpus"] == [{"address": "0000:41:00.0", "functions": ["0000:41:00.0", "0000:41:00.1"]}]
    assert (props["cores"], props["memory_mib"], props["disk_mib"]) == (12, 32768, 307200)
    assert (props["host"], props["uri"], props["owner"]) == ("box", "qemu:///system", "cloud/prod")
    assert UNKNOWN not in json.dumps(props)


def test_a_nat_network_has_no_dhcp_and_keeps_dns(up: Plan) -> None:
    inputs = up["box-network"].inputs
    assert (inputs["mode"], inputs["addresses"], inputs["mtu"]) == ("nat", ["192.168.200.0/24"], 1500)
    assert (inputs["dhcp"], inputs["dns"]) == ({"enabled": False}, {"enabled": True})


def test_a_bridged_network_only_names_the_bridge() -> None:
    found = plan(program(settings(network={"mode": "bridge", "bridge": "br0"})))["box-network"].inputs
    assert (found["mode"], found["bridge"]) == ("bridge", "br0")
    assert not {"addresses", "dhcp", "dns", "mtu"} & set(found)


def test_a_pool_is_a_folder(up: Plan) -> None:
    inputs = up["box-pool"].inputs
    assert (inputs["type"], inputs["target"]) == ("dir", {"path": "/var/lib/libvirt/inference-cloud"})


def test_a_domain_says_all_that_was_asked_for(up: Plan) -> None:
    inputs = one(up, DOMAIN, "control-1").inputs
    assert (inputs["vcpu"], inputs["memory"], inputs["machine"]) == (6, 12288, "q35")
    assert inputs["cpu"] == {"mode": "host-passthrough"}
    assert inputs["disks"] == [{"volumeId": "control-1-root-id"}]
    assert inputs["cloudinit"] == "control-1-cloud-init-id"
    interface = inputs["networkInterfaces"][0]
    assert (interface["networkId"], interface["mac"]) == ("box-network-id", mac_address("prod", "control-1"))
    assert (inputs["type"], inputs["autostart"], inputs["running"]) == ("kvm", True, True)
    assert ">cloud/prod<" in inputs["xml"]["xslt"]
    assert "<hostdev" not in inputs["xml"]["xslt"]


def test_a_host_without_kvm_emulates() -> None:
    found = plan(program(settings(hosts=[{"name": "box", "emulation": True}])))
    inputs = one(found, DOMAIN, "control-1").inputs
    assert (inputs["type"], inputs["cpu"]) == ("qemu", {"mode": "maximum"})
    assert int(found["control-1-ready"].inputs["environment"]["READY_TIMEOUT"]) > 600


def test_a_root_disk_lies_over_the_base_image_and_has_its_size_in_bytes(up: Plan) -> None:
    inputs = up["gpu-1-root"].inputs
    assert (inputs["baseVolumeId"], inputs["size"]) == (f"{image(up)}-id", 300 * 1024**3)


def test_gpu_workers_boot_from_their_own_image_if_asked_to() -> None:
    found = plan(program(settings(images={"use_gpu_worker": True})))
    assert found["gpu-1-root"].inputs["baseVolumeId"] == f"{image(found, 'gpu-worker')}-id"
    assert found["worker-1-root"].inputs["baseVolumeId"] == f"{image(found)}-id"


def test_all_functions_of_the_card_go_with_a_gpu_and_the_root_port_stays(up: Plan) -> None:
    sheet = one(up, DOMAIN, "gpu-1").inputs["xml"]["xslt"]
    addresses = re.findall(r'<address domain="(\w+)" bus="(\w+)" slot="(\w+)" function="(\w+)"/>', sheet)
    assert addresses == [("0x0000", "0x41", "0x00", "0x0"), ("0x0000", "0x41", "0x00", "0x1")]
    assert sheet.count('managed="yes"') == 2


def test_leases_are_taken_and_given_back_by_name(up: Plan) -> None:
    inputs = up["gpu-1-lease-0000-41-00-0"].inputs
    words = "--state .cloud/state.json --host box --gpu 0000:41:00.0 --owner cloud/prod --vm gpu-1"
    assert inputs["create"].endswith(f"python -m cloudctl gpus lease {words}")
    assert inputs["delete"].endswith(f"python -m cloudctl gpus give-back {words}")
    assert "0000:41:00.0" in inputs["triggers"]


def test_a_lease_is_held_before_its_vm_is_there_and_until_it_is_gone(up: Plan) -> None:
    assert up["gpu-1-lease-0000-41-00-0"].urn in one(up, DOMAIN, "gpu-1").dependencies


def test_a_card_that_moves_up_in_the_list_keeps_its_lease() -> None:
    """Named by its place, the lease of the second card would become the first's: taken anew, then given back."""

    def leases(*gpus: str) -> dict[str, tuple[object, ...]]:
        sections = raw()
        sections["machines"][-1]["gpus"] = [{"address": gpu, "siblings": "auto"} for gpu in gpus]
        made = plan(program(settings(sections)))
        return {each.name: tuple(each.inputs["triggers"]) for each in made.resources.values() if "-lease-" in each.name}

    both = leases("0000:41:00.0", "0000:81:00.0")
    assert leases("0000:81:00.0", "0000:41:00.0") == both
    assert leases("0000:81:00.0").items() <= both.items()


def test_lease_words_are_quoted_for_the_shell() -> None:
    found = plan(program(settings(state="shared state/it's.json")))["gpu-1-lease-0000-41-00-0"].inputs["create"]
    done = subprocess.run(
        ["sh", "-c", found.replace("python -m cloudctl", "printf '%s\\n'")], capture_output=True, text=True
    )
    assert "shared state/it's.json" in done.stdout.splitlines()


def test_each_host_gets_its_own_provider_network_pool_and_image() -> None:
    sections = raw()
    sections["hosts"].append({"name": "other", "uri": "qemu+ssh://root@other/system"})
    for machine in sections["machines"]:
        machine["host"] = "other" if machine["name"] == "worker-1" else "box"
    sections["network"] = {"mode": "bridge", "bridge": "br0"}
    found = plan(program(settings(sections)))
    assert found["worker-1-root"].inputs["baseVolumeId"] == f"{image(found, host='other')}-id"
    assert "::other-libvirt::" in found["worker-1-root"].provider
    assert "::other-libvirt::" in found["worker-1-cloud-init"].provider
    assert "::box-libvirt::" in found["gpu-1-root"].provider


def needs(found: Plan, later: str, earlier: str) -> bool:
    """Whether anything under one task's components waits for anything under another's."""
    tasks = {each.urn: task_of(found, each) for each in found.resources.values()}
    by_task = {task: [each for each in found.resources.values() if tasks[each.urn] == task] for task in tasks.values()}
    todo = [each.urn for each in by_task[later]]
    seen = set(todo)
    while todo:
        here = found.resources[todo.pop()]
        for urn in here.dependencies - seen:
            if tasks[urn] == earlier:
                return True
            seen.add(urn)
            todo.append(urn)
    return False


def task_of(found: Plan, resource: Any) -> str | None:
    while resource is not None and "task" not in resource.inputs:
        resource = found.resources.get(resource.parent)
    return None if resource is None else str(resource.inputs["task"])


@pytest.mark.parametrize(
    ("later", "earlier"),
    [
        ("CLOUD-0.2", "CLOUD-0.1"),
        ("CLOUD-1.1", "CLOUD-0.1"),
        ("CLOUD-1.2", "CLOUD-1.1"),
        ("CLOUD-2.1", "CLOUD-0.2"),
        ("CLOUD-2.1", "CLOUD-1.1"),
        ("CLOUD-7.1", "CLOUD-0.2"),
    ],
)
def test_what_the_table_orders_is_ordered(up: Plan, later: str, earlier: str) -> None:
    assert needs(up, later, earlier)


@pytest.mark.parametrize(
    ("one_task", "other"),
    [
        ("CLOUD-0.2", "CLOUD-1.1"),
        ("CLOUD-0.2", "CLOUD-1.2"),
        ("CLOUD-1.2", "CLOUD-2.1"),
        ("CLOUD-7.1", "CLOUD-1.1"),
        ("CLOUD-7.1", "CLOUD-2.1"),
    ],
)
def test_what_the_table_leaves_parallel_is_not_ordered(up: Plan, one_task: str, other: str) -> None:
    assert not needs(up, one_task, other)
    assert not needs(up, other, one_task)


def test_vms_wait_for_the_gpu_image_only_if_they_boot_from_it() -> None:
    assert needs(plan(program(settings(images={"use_gpu_worker": True}))), "CLOUD-2.1", "CLOUD-1.2")


def test_a_mac_address_depends_on_stack_and_name_alone() -> None:
    first = provisioning.mac_addresses("prod", ["a", "b"])
    assert provisioning.mac_addresses("prod", ["b", "c", "a"])["a"] == first["a"]
    assert provisioning.mac_addresses("dev", ["a"])["a"] != first["a"]


def test_mac_addresses_never_fall_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provisioning, "mac_address", lambda stack, name: f"52:54:00:00:00:{len(name):02x}")
    assert len(set(provisioning.mac_addresses("prod", ["aa", "bb", "cc"]).values())) == 3
