"""VMs: what is asked of libvirt once, what commands change later, in which order, and what keeps a VM as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cluster.host.model import HostFacts
from cluster.settings.model import Settings
from components.images import image_digests
from tests.cluster import vms
from tests.components.flow import program
from tests.components.plan import Plan, plan
from tests.components.samples import raw, settings

DOMAIN = "libvirt:index/domain:Domain"


@pytest.fixture(scope="module")
def up() -> Plan:
    return plan(program(settings()))


def domain(found: Plan, name: str) -> Any:
    return next(each for each in found.of_type(DOMAIN) if each.name == name)


def ignored(resource: Any) -> set[str]:
    return set(resource.request.ignoreChanges)


def live(wanted: Settings, **changes: Any) -> dict[str, HostFacts]:
    return vms.live(wanted, image_digests(wanted), **changes)


def test_the_size_command_is_told_all_that_a_vm_is_to_have(up: Plan) -> None:
    told = up["gpu-1-size"].inputs["environment"]
    assert (told["CORES"], told["MEMORY_MIB"], told["DISK_MIB"]) == ("12", "32768", "307200")
    assert (told["VM"], told["URI"], told["POOL"]) == ("gpu-1", "qemu:///system", "inference-cloud")
    assert told["VOLUME"] == up["gpu-1-root"].inputs["name"]
    assert f"<uuid>{told['UUID']}</uuid>" in domain(up, "gpu-1").inputs["xml"]["xslt"]


def test_host_cpus_are_named_one_by_one_in_the_order_of_the_cores() -> None:
    sections = raw()
    sections["machines"][0]["cpu_pinning"] = "12-14,4-6"
    found = plan(program(settings(sections)))
    assert found["control-1-size"].inputs["environment"]["CPU_PINNING"] == "12 13 14 4 5 6"
    assert found["worker-1-size"].inputs["environment"]["CPU_PINNING"] == ""
    # Pinning can be changed while a VM runs, so it is no part of what makes it another.
    assert domain(found, "control-1").inputs == domain(plan(program(settings())), "control-1").inputs


def test_size_before_ready_and_the_console_goes_after_the_vm(up: Plan) -> None:
    assert up.depends("gpu-1-ready", "gpu-1-size")
    assert domain(up, "gpu-1").urn in up["gpu-1-size"].dependencies
    assert up["gpu-1-console"].urn in domain(up, "gpu-1").dependencies
    # ... and before its pool.
    assert up["box-pool"].urn in up["gpu-1-console"].dependencies
    # Only once the engine has deleted the VM may a definition go that was never started.
    assert up["gpu-1-console"].inputs["delete"] == up["gpu-1-console"].inputs["create"] + " gone"


def test_of_the_workers_those_that_restart_do_so_one_after_the_other(tmp_path: Path) -> None:
    sections = raw()
    first = sections["machines"][1]
    sections["machines"] += [{**first, "name": f"worker-{n}", "address": f"192.168.200.6{n}"} for n in (2, 3)]
    wanted = settings({**sections, "state": str(tmp_path / "state.json")})
    smaller: Any = {"cores": 1}
    found = plan(program(wanted, live(wanted, worker_1=smaller, worker_3=smaller, gpu_1=None)))
    assert found.depends("worker-3-size", "worker-1-ready")
    for alone in ("worker-1-size", "worker-2-size", "gpu-1-size"):
        assert not {name for name in up_to(found, alone) if name.endswith("-ready")}, alone
    told = found["worker-1-size"].inputs["environment"]["KUBECONFIG_FILE"]
    assert told == found["worker-1-ready"].inputs["environment"]["KUBECONFIG_FILE"] == ".cloud/prod/kubeconfig"
    assert "KUBECONFIG_FILE" not in found["control-1-size"].inputs["environment"]


def test_a_control_plane_waits_for_its_api_where_there_is_a_cluster(up: Plan) -> None:
    assert up["control-1-ready"].inputs["environment"]["KUBERNETES"] == ".cloud/prod/kubernetes.json"
    assert "KUBERNETES" not in up["gpu-1-ready"].inputs["environment"]


def test_a_control_plane_is_asked_for_right_before_it_goes(tmp_path: Path) -> None:
    found = plan(program(vms.stack(tmp_path)))
    guards = {each.name for each in found.resources.values() if each.name.endswith("-quorum")}
    assert guards == {"control-1-quorum", "control-2-quorum", "control-3-quorum"}
    guard = found["control-2-quorum"]
    # Deleted before the VM and all that belongs to it, and made once the VM can be used.
    assert {domain(found, "control-2").urn, found["control-2-ready"].urn} <= set(guard.dependencies)
    # By nothing but the VM: a deletion for any other reason would count as the VM's.
    assert guard.inputs["triggers"] == found["control-2-size"].inputs["triggers"][:1]
    assert guard.request.deleteBeforeReplace
    assert [each["name"] for each in json.loads(guard.inputs["environment"]["MEMBERS"])] == [
        "control-1",
        "control-2",
        "control-3",
    ]
    assert guard.inputs["environment"]["LEAVING"] == str(tmp_path / "prod" / "leaving")


def test_a_worker_is_drained_right_before_it_goes(up: Plan) -> None:
    drains = {each.name for each in up.resources.values() if each.name.endswith("-leave")}
    assert drains == {"worker-1-leave", "gpu-1-leave"}
    drain = up["gpu-1-leave"]
    assert {domain(up, "gpu-1").urn, up["gpu-1-ready"].urn} <= set(drain.dependencies)
    assert drain.inputs["triggers"] == up["gpu-1-size"].inputs["triggers"][:1]
    assert drain.request.deleteBeforeReplace
    assert drain.inputs["environment"]["KUBECONFIG_FILE"] == ".cloud/prod/kubeconfig"


def test_control_planes_get_their_sizes_one_after_the_other_and_workers_do_not_wait(tmp_path: Path) -> None:
    found = plan(program(vms.stack(tmp_path)))
    assert up_to(found, "control-2-size") >= {"control-1-ready"}
    assert up_to(found, "control-3-size") >= {"control-1-ready", "control-2-ready"}
    assert not {name for name in up_to(found, "worker-1-size") if name.endswith("-ready")}
    # They boot side by side.
    assert not {name for name in up_to(found, "control-3-root") if name.startswith("control-1")}


def up_to(found: Plan, name: str) -> set[str]:
    """Return the names of all that a resource waits for."""
    todo, seen = [found[name].urn], set()
    while todo:
        for urn in found.resources[todo.pop()].dependencies - seen:
            seen.add(urn)
            todo.append(urn)
    return {found.resources[urn].name for urn in seen}


def test_a_new_vm_gets_its_size_from_the_provider(up: Plan) -> None:
    assert ignored(domain(up, "gpu-1")) == {"firmware"}


def test_a_vm_that_stands_as_planned_is_not_made_anew_for_a_size(tmp_path: Path) -> None:
    wanted = vms.stack(tmp_path, planes=1)
    found = plan(program(wanted, live(wanted, control_1={"cores": 2})))
    assert ignored(domain(found, "control-1")) >= {"vcpu", "memory", "xml", "firmware"}
    assert ignored(found["control-1-root"]) == {"size"}


def test_a_vm_that_is_made_anew_gets_its_size_at_once(tmp_path: Path) -> None:
    wanted = vms.stack(tmp_path, planes=1)
    other_image = plan(program(wanted, live(wanted, worker_1={"image": "0" * 12})))
    assert ignored(domain(other_image, "worker-1")) == {"firmware"}
    assert ignored(other_image["worker-1-root"]) == set()
    other_shape = plan(program(wanted, live(wanted, worker_1={"shape": "0" * 12})))
    assert ignored(domain(other_shape, "worker-1")) == {"firmware"}
    # Its disk stays, so the size command is the one to change it.
    assert ignored(other_shape["worker-1-root"]) == {"size"}


@pytest.mark.parametrize("change", [None, {"image": None, "shape": None}])
def test_a_disk_is_not_emptied_because_its_vm_is_not_there_or_does_not_say_its_image(
    tmp_path: Path, change: Any
) -> None:
    wanted = vms.stack(tmp_path, planes=1)
    found = plan(program(wanted, live(wanted, worker_1=change)))
    assert ignored(found["worker-1-root"]) == {"size"}
    assert ignored(domain(found, "worker-1")) == {"firmware"}


def test_each_making_of_a_vm_is_waited_for_and_kubernetes_sees_it(tmp_path: Path) -> None:
    wanted = vms.stack(tmp_path, planes=1)
    first = plan(program(wanted, live(wanted)))
    vms.Standing.of(wanted, "prod", live(wanted)).record(wanted, vms.planned(wanted))
    again = plan(program(wanted, live(wanted, worker_1=None)))
    for name in ("worker-1-ready", "worker-1-size", "kubernetes-preflight"):
        assert first[name].inputs["triggers"] != again[name].inputs["triggers"], name
    assert first["control-1-ready"].inputs["triggers"] == again["control-1-ready"].inputs["triggers"]
    assert again["worker-1-ready"].inputs["environment"]["MADE"].startswith("2 ")


def test_another_image_is_another_making(tmp_path: Path) -> None:
    wanted, earlier = vms.stack(tmp_path, planes=1), vms.stack(tmp_path, planes=1, worker_1={"image": "0" * 12})
    seen = live(wanted, worker_1={"image": "0" * 12})
    ready = [plan(program(each, seen))["kubernetes-preflight"].inputs["triggers"] for each in (wanted, earlier)]
    assert ready[0] != ready[1]


def test_a_pinned_vm_boots_from_the_earlier_image_which_stays_in_its_hosts_pool(tmp_path: Path) -> None:
    wanted = vms.stack(tmp_path, planes=1, worker_1={"image": "0" * 12})
    found = plan(program(wanted, live(wanted)))
    copy = found["box-image-base-" + "0" * 12]
    assert copy.inputs["source"] == f".cloud/images/base-{'0' * 12}.qcow2"
    assert found["image-base"].urn not in copy.dependencies
    assert found["worker-1-root"].inputs["baseVolumeId"] == f"{copy.name}-id"
    assert found["control-1-root"].inputs["baseVolumeId"] != f"{copy.name}-id"
