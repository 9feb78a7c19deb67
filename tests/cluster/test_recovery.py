"""Recovery of a cut-off update: what is looked up, what is run again, and that nothing else of the state moves."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.identity import expected_id, libvirt_uuid, mac_address
from cluster.recovery import plan_recovery, with_strays

UUID = libvirt_uuid("prod", "workstation", "domain", "gpu-1")
XSLT = {"xslt": f"<xsl:stylesheet><uuid>{UUID}</uuid></xsl:stylesheet>"}


def _urn(kind: str, name: str) -> str:
    return f"urn:pulumi:prod::inference-cloud::{kind}::{name}"


def _resource(kind: str, name: str, /, **inputs: Any) -> dict[str, Any]:
    return {"urn": _urn(kind, name), "type": kind, "custom": True, "inputs": inputs}


POOL = _resource("libvirt:index/pool:Pool", "pool", name="cloud", target={"path": "/pool/"}) | {"id": "p"}


def _export(*pending: dict[str, Any], resources: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    operations = [{"resource": each, "type": each.pop("_op", "creating")} for each in copy.deepcopy(list(pending))]
    deployment = {"resources": [POOL, *(resources or [])], "pending_operations": operations}
    return {"version": 3, "deployment": deployment}


@pytest.mark.parametrize(
    ("resource", "identity"),
    [
        (_resource("libvirt:index/domain:Domain", "gpu-1", name="gpu-1", xml=XSLT), UUID),
        (_resource("libvirt:index/network:Network", "net", name="net", xml=XSLT), UUID),
        (_resource("libvirt:index/volume:Volume", "root", name="root.qcow2", pool="cloud"), "/pool/root.qcow2"),
        (_resource("kubernetes:core/v1:Namespace", "ns", metadata={"name": "mlflow"}), "mlflow"),
        (_resource("kubernetes:core/v1:Secret", "s", metadata={"name": "s", "namespace": "mlflow"}), "mlflow/s"),
        (_resource("kubernetes:helm.sh/v3:Release", "minio", name="minio", namespace="storage"), "storage/minio"),
    ],
)
def test_a_pending_create_is_looked_up_by_the_id_it_would_have(resource: dict[str, Any], identity: str) -> None:
    plan = plan_recovery(_export(resource))
    assert plan.refresh == (resource["urn"],)
    added = plan.deployment["deployment"]["resources"][-1]
    assert (added["urn"], added["id"], added["outputs"]) == (resource["urn"], identity, resource["inputs"])
    assert plan.deployment["deployment"]["pending_operations"] == []


def test_a_cloud_init_disk_has_its_volume_and_a_suffix() -> None:
    inputs = {"name": "gpu-1.iso", "pool": "cloud"}
    found = expected_id("libvirt:index/cloudInitDisk:CloudInitDisk", inputs, {"cloud": "/pool"})
    assert found is not None
    assert found.split(";")[0] == "/pool/gpu-1.iso"
    assert len(found.split(";")) == 2


def test_a_command_is_run_again() -> None:
    plan = plan_recovery(_export(_resource("command:local:Command", "gpu-1-lease-0", create="true")))
    assert plan.again == (_urn("command:local:Command", "gpu-1-lease-0"),)
    assert plan.refresh == ()
    assert plan.deployment["deployment"]["resources"] == [POOL]


def test_a_cut_off_deletion_is_looked_up_and_stays_in_the_state() -> None:
    network = _resource("libvirt:index/network:Network", "net", name="net", xml=XSLT) | {"id": "n"}
    plan = plan_recovery(_export(network | {"_op": "deleting"}, resources=[network]))
    assert plan.refresh == (network["urn"],)
    assert plan.deployment["deployment"]["resources"] == [POOL, network]


def test_what_was_made_with_errors_is_looked_up() -> None:
    half = POOL | {"initErrors": ["* invalid argument"]}
    export = _export()
    export["deployment"]["resources"] = [half]
    plan = plan_recovery(export)
    assert plan.refresh == (POOL["urn"],)
    assert plan.needed
    assert plan.deployment["deployment"]["resources"] == [half]  # the provider's answer clears the errors


def test_what_nobody_can_foretell_is_said() -> None:
    plan = plan_recovery(_export(_resource("libvirt:index/volume:Volume", "v", name="v", pool="another")))
    assert plan.unclear == (_urn("libvirt:index/volume:Volume", "v"),)
    assert plan.needed


def test_a_state_without_pending_operations_needs_nothing_and_is_left_as_it_is() -> None:
    export = _export()
    plan = plan_recovery(export)
    assert not plan.needed
    assert plan.deployment == export


def test_an_empty_stack_needs_nothing() -> None:
    assert not plan_recovery({"version": 3, "deployment": None}).needed


@given(st.lists(st.sampled_from(["creating", "updating", "deleting", "reading"]), max_size=5))
def test_the_export_is_never_changed_in_place(kinds: list[str]) -> None:
    pending = [
        _resource("kubernetes:core/v1:Namespace", f"n{index}", metadata={"name": f"n{index}"}) | {"_op": kind}
        for index, kind in enumerate(kinds)
    ]
    export = _export(*pending)
    before = copy.deepcopy(export)
    plan = plan_recovery(export)
    assert export == before
    assert len(plan.refresh) == len(kinds)


@given(st.text(min_size=1), st.text(min_size=1))
def test_identities_differ_between_stacks_and_repeat_within_one(stack: str, machine: str) -> None:
    assert mac_address(stack, machine) == mac_address(stack, machine)
    assert mac_address(stack, machine).startswith("52:54:00:")
    assert libvirt_uuid(stack, "h", "domain", machine) != libvirt_uuid(stack + "x", "h", "domain", machine)


def test_a_vm_of_which_something_is_not_known_yet_waits_for_another_round() -> None:
    """Taken up without its disk, it would differ from the plan by that, and be made anew."""
    machine = {"urn": "urn:pulumi:prod::p::cloud:kubernetes:Machine::gpu-1", "type": "cloud:kubernetes:Machine"}
    provider = {
        "urn": "urn:pulumi:prod::p::pulumi:providers:libvirt::ws",
        "type": "pulumi:providers:libvirt",
        "id": "1",
    }
    export = {"version": 3, "deployment": {"resources": [machine, provider]}}

    def strays(disk: str) -> list[str]:
        domain = {
            "urn": "urn:pulumi:prod::p::libvirt:index/domain:Domain::gpu-1",
            "type": "libvirt:index/domain:Domain",
            "custom": True,
            "parent": machine["urn"],
            "provider": f"{provider['urn']}::1",
            "inputs": {"name": "gpu-1", "disks": [{"volumeId": disk}]},
        }
        found = with_strays(export, {"steps": [{"op": "create", "newState": domain}]})
        return [each["resource"]["urn"] for each in found["deployment"]["pending_operations"]]

    assert strays("04da6b54-80e4-46f7-96ec-b56ff0331ba9") == []
    assert strays("/pool/gpu-1-root.qcow2") == ["urn:pulumi:prod::p::libvirt:index/domain:Domain::gpu-1"]
