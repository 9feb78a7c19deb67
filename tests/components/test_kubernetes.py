"""Kubernetes in steps, the image builds and the acceptance check: commands, inputs, what runs again when."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pulumi
import pytest

from components.kubernetes import Cluster, ClusterArgs
from tests.components.flow import build_cluster, program
from tests.components.plan import UNKNOWN, Plan, Secret, plan
from tests.components.samples import raw, settings

STEPS = [
    "kubernetes-inventory",
    "kubernetes-preflight",
    "kubernetes-control-plane",
    "kubernetes-control-plane-check",
    "kubernetes-workers",
    "kubernetes-workers-check",
    "kubernetes-kubeconfig",
]


@pytest.fixture(scope="module")
def up() -> Plan:
    return plan(program(settings()))


def test_the_steps_are_resources_in_a_chain(up: Plan) -> None:
    chain = [each.name for each in up.resources.values() if each.name.startswith("kubernetes-")]
    assert chain == STEPS
    for earlier, later in pairwise(STEPS):
        assert up[earlier].urn in up[later].dependencies, later


def test_no_step_runs_before_every_vm_is_ready(up: Plan) -> None:
    ready = {up[f"{vm}-ready"].urn for vm in ("control-1", "worker-1", "gpu-1")}
    assert ready <= up["kubernetes-preflight"].dependencies


def test_a_vm_made_anew_runs_the_steps_that_concern_it_again(up: Plan) -> None:
    triggers = {step: str(up[step].inputs["triggers"]) for step in STEPS[1:-1]}
    assert "gpu-1-id" in triggers["kubernetes-preflight"]
    assert "gpu-1-id" in triggers["kubernetes-workers"]
    assert "gpu-1-id" not in triggers["kubernetes-control-plane"]
    assert "control-1-id" in triggers["kubernetes-control-plane"]
    assert "gpu-1-id" in up["kubernetes-workers"].inputs["environment"]["MADE"]
    # What came before a step and what it checks runs it again, too.
    assert "kubernetes-control-plane-id" in triggers["kubernetes-control-plane-check"]
    assert "kubernetes-control-plane-id" in triggers["kubernetes-workers"]
    assert "kubernetes-workers-id" in triggers["kubernetes-workers-check"]


def test_another_worker_leaves_the_control_plane_alone(up: Plan) -> None:
    sections = raw()
    worker = next(each for each in sections["machines"] if each["role"] == "worker")
    sections["machines"].append({**worker, "name": "worker-2", "address": "192.168.200.22"})
    changed = plan(program(settings(sections)))
    own = {step: changed[step].inputs["triggers"][0] == up[step].inputs["triggers"][0] for step in STEPS[1:-1]}
    assert own == {
        "kubernetes-preflight": False,
        "kubernetes-control-plane": True,
        "kubernetes-control-plane-check": True,
        "kubernetes-workers": False,
        "kubernetes-workers-check": True,
    }


def test_an_existing_cluster_is_checked_and_not_made() -> None:
    stack = settings(machines=[], kubernetes={"provisioner": "existing", "kubeconfig": "~/.kube/config"})

    def build() -> None:
        Cluster("kubernetes", ClusterArgs(stack, {}, {}))

    found = plan(build)
    names = [each.name for each in found.resources.values() if each.name.startswith("kubernetes-")]
    assert names == ["kubernetes-inventory", "kubernetes-check", "kubernetes-kubeconfig"]
    assert found["kubernetes-check"].urn in found["kubernetes-kubeconfig"].dependencies


def test_a_changed_setting_runs_the_steps_again(up: Plan) -> None:
    changed = plan(program(settings(kubernetes={"version": "1.34.1"})))
    for step in ("kubernetes-control-plane", "kubernetes-workers"):
        assert changed[step].inputs["triggers"] != up[step].inputs["triggers"], step
    assert changed["kubernetes-inventory"].inputs["stdin"] != up["kubernetes-inventory"].inputs["stdin"]


def test_files_that_a_deletion_removes_are_never_replaced(up: Plan) -> None:
    # A replacement deletes the old file after the new one was written, which would leave none.
    for step in ("kubernetes-inventory", "kubernetes-kubeconfig"):
        assert "triggers" not in up[step].inputs
        assert up[step].inputs["delete"].startswith("rm -")


def test_the_last_worker_that_goes_runs_the_steps_that_see_to_it(up: Plan) -> None:
    """Its node is drained by the workers' step, and its pods need control planes that let them in."""
    sections = raw()
    del sections["machines"][1:]
    alone = plan(program(settings(sections)))
    assert [
        name for name in (each.name for each in alone.resources.values()) if name.startswith("kubernetes-")
    ] == STEPS
    for step in ("kubernetes-control-plane", "kubernetes-workers"):
        assert alone[step].inputs["triggers"][0] != up[step].inputs["triggers"][0], step


def test_the_kubeconfig_is_secret_and_not_logged() -> None:
    def build() -> pulumi.Output[bool]:
        cluster = build_cluster(settings())
        return pulumi.Output.from_input(cluster.kubeconfig.is_secret())

    found = plan(build)
    assert found.value is True
    step = found["kubernetes-kubeconfig"]
    assert set(step.secret_outputs) == {"stdout", "stderr"}
    assert step.inputs["logging"] == "none"


def test_no_step_has_a_secret_in_its_inputs(up: Plan) -> None:
    for step in STEPS:
        assert "not-a-real-password" not in json.dumps(up[step].inputs, default=repr)
        assert not any(isinstance(value, Secret) for value in up[step].inputs.values())


def test_k3s_has_the_same_steps() -> None:
    found = plan(program(settings(kubernetes={"provisioner": "k3s"})))
    assert [each.name for each in found.resources.values() if each.name.startswith("kubernetes-")] == STEPS
    files = json.loads(found["kubernetes-inventory"].inputs["stdin"])
    assert "k3s_version: v1.34.3+k3s1" in files["group_vars/all/cluster.yml"]


def test_ready_is_what_the_last_check_says() -> None:
    def build() -> pulumi.Output[str]:
        nodes = {"control-1": {"role": "control-plane"}, "worker-1": {"role": "worker"}}
        made = {"control-1": "vm 1", "worker-1": "vm 2", "gpu-1": "vm 3"}
        return Cluster("kubernetes", ClusterArgs(settings(), nodes, made)).ready

    assert plan(build).value == "output of kubernetes-workers-check"
    assert plan(build, preview=True).value == UNKNOWN


def test_an_image_is_named_by_its_inputs(up: Plan) -> None:
    other = plan(program(settings(images={"size": "20GiB"})))
    assert up["image-base"].inputs["triggers"] != other["image-base"].inputs["triggers"]
    assert up["image-gpu-worker"].inputs["triggers"] != other["image-gpu-worker"].inputs["triggers"]
    digest = up["image-base"].inputs["triggers"][0]
    copy = f"box-image-base-{digest}"
    assert up[copy].inputs["name"] == f"base-{digest}.qcow2"
    assert up[copy].inputs["source"] == f".cloud/images/base-{digest}.qcow2"


def test_a_volume_is_uploaded_only_once_the_image_is_built(up: Plan) -> None:
    copy = f"box-image-base-{up['image-base'].inputs['triggers'][0]}"
    assert up["image-base"].urn in up[copy].dependencies
    # Its path is known beforehand: were it not, a build that runs again would show every disk as one to be replaced.
    preview = plan(program(settings()), preview=True)
    assert preview[copy].inputs["source"] == up[copy].inputs["source"]
    assert set(up[copy].request.ignoreChanges) == {"source"}


def test_an_image_that_is_gone_is_another_making_and_one_that_is_there_stays(tmp_path: Path) -> None:
    wanted = settings(images={"folder": str(tmp_path / "images")}, state=str(tmp_path / "state.json"))
    first = plan(program(wanted))["image-base"]
    assert "delete" not in first.inputs
    environment = first.inputs["environment"]
    image, mark = Path(environment["IMAGE_OUTPUT"]), Path(environment["IMAGE_MARK"])
    assert (image.parent, environment["IMAGE_POOLS"]) == (tmp_path / "images", "box/inference-cloud")
    assert plan(program(wanted))["image-base"].inputs == first.inputs
    mark.parent.mkdir(parents=True)
    mark.write_text("1\n")  # it was built, and is gone
    again = plan(program(wanted))["image-base"]
    assert again.inputs["environment"] == {**environment, "IMAGE_MAKING": "2"}
    assert again.inputs["triggers"] == first.inputs["triggers"]


def test_the_acceptance_check_knows_what_must_be_there(up: Plan) -> None:
    expected = json.loads(up["acceptance-foundation"].inputs["stdin"])
    assert expected["hosts"][0]["volumes"] == [f"{vm}-cloud-init.iso" for vm in ("control-1", "worker-1", "gpu-1")]
    assert expected["leases"] == [{"host": "box", "gpu": "0000:41:00.0", "owner": "cloud/prod", "vm": "gpu-1"}]
