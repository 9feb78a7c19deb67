"""The GPU nodes' drivers: what the command is told, what it waits for, and what waits for it."""

from __future__ import annotations

from cluster import versions
from tests.components.platform_stack import Made, everything, make, one


def before(made: Made, kind: str, name: str) -> set[str]:
    """Return the names of everything that a resource waits for, through any number of others."""
    todo, seen = [one(made, kind, name).urn], set[str]()
    while todo:
        new = made.plan.resources[todo.pop()].dependencies - seen
        seen |= new
        todo += new
    return {made.plan.resources[urn].name for urn in seen}


def test_the_command_knows_nodes_cards_driver_and_image() -> None:
    made = everything()
    step = one(made, "Command", "gpu-driver").inputs
    nodes = {machine.name: len(machine.gpus) for machine in made.settings.machines if machine.gpus}
    assert nodes
    assert step["create"].endswith("python -m cluster.drivers bring")
    assert "update" not in step
    assert "delete" not in step
    assert step["environment"] == {
        "KUBECONFIG": ".cloud/prod/kubeconfig",
        "GPU_NODES": " ".join(f"{name}={count}" for name, count in nodes.items()),
        "CUDA_IMAGE": versions.IMAGES["cuda-sample"],
        "DRIVER_VERSION": made.settings.gpu_operator.driver_version or versions.DRIVER_DEFAULT,
    }


def test_a_driver_in_the_image_leaves_only_the_check() -> None:
    step = one(make(gpu_operator={"driver": False}), "Command", "gpu-driver").inputs
    assert step["environment"]["DRIVER_VERSION"] == ""


def test_a_mirror_has_the_checks_image_too() -> None:
    step = one(make(registry={"mirror": "registry.site:5000/cloud"}), "Command", "gpu-driver").inputs
    assert step["environment"]["CUDA_IMAGE"].startswith("registry.site:5000/cloud/nvidia/k8s/cuda-sample:")


def test_drivers_come_after_the_operator_and_before_what_needs_cards() -> None:
    made = everything()
    assert {"gpu-operator", "nodes-ready"} <= before(made, "Command", "gpu-driver")
    assert "gpu-driver" in before(made, "InferenceService", "assistant")
    assert "gpu-driver" in before(made, "Release", "kserve")


def test_monitoring_does_not_wait_for_drivers() -> None:
    assert "gpu-driver" not in before(everything(), "Release", "monitoring")


def test_the_plan_knows_what_the_command_is_told_before_anything_is_there() -> None:
    step = one(make(preview=True), "Command", "gpu-driver").inputs
    assert step["environment"]["DRIVER_VERSION"] == versions.DRIVER_DEFAULT
