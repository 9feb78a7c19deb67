"""What kubectl prints of real objects, shortened by what nobody reads here."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.drivers import parse
from cluster.drivers.model import CHECK_LABEL, HOLD, CheckPod, DriverPod, GpuPod, Node, Policy, version_of
from cluster.drivers.remedies import remedy
from cluster.drivers.turns import earlier

POLICY = {
    "apiVersion": "nvidia.com/v1",
    "kind": "ClusterPolicy",
    "metadata": {"name": "cluster-policy", "generation": 3},
    "spec": {
        "driver": {
            "enabled": True,
            "useNvidiaDriverCRD": False,
            "kernelModuleType": "auto",
            "repository": "nvcr.io/nvidia",
            "image": "driver",
            "version": "595.91.07",
            "upgradePolicy": {"autoUpgrade": False, "maxParallelUpgrades": 1, "maxUnavailable": "25%"},
        }
    },
    "status": {"namespace": "gpu-operator", "state": "ready"},
}

NODE = {
    "kind": "Node",
    "metadata": {"name": "gpu-1", "annotations": {"node.alpha.kubernetes.io/ttl": "0", HOLD: "cordoned-by-rollout"}},
    "spec": {
        "podCIDR": "10.233.66.0/24",
        "taints": [{"effect": "NoSchedule", "key": "node.kubernetes.io/unschedulable"}],
        "unschedulable": True,
    },
    "status": {
        "allocatable": {"cpu": "11900m", "memory": "32345678Ki", "nvidia.com/gpu": "2", "pods": "110"},
        "capacity": {"cpu": "12", "nvidia.com/gpu": "2"},
        "conditions": [
            {"type": "MemoryPressure", "status": "False"},
            {"type": "Ready", "status": "True", "reason": "KubeletReady"},
        ],
    },
}

DRIVER_POD: dict[str, Any] = {
    "metadata": {
        "name": "nvidia-driver-daemonset-x7k2p",
        "namespace": "gpu-operator",
        "labels": {"app": "nvidia-driver-daemonset", "app.kubernetes.io/component": "nvidia-driver"},
    },
    "spec": {
        "nodeName": "gpu-1",
        "initContainers": [
            {"name": "k8s-driver-manager", "image": "nvcr.io/nvidia/cloud-native/k8s-driver-manager:v0.12.0"}
        ],
        "containers": [{"name": "nvidia-driver-ctr", "image": "nvcr.io/nvidia/driver:595.91.07-ubuntu24.04"}],
    },
    "status": {
        "phase": "Running",
        "conditions": [{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": "False"}],
        "initContainerStatuses": [{"name": "k8s-driver-manager", "restartCount": 1, "state": {"terminated": {}}}],
        "containerStatuses": [
            {
                "name": "nvidia-driver-ctr",
                "ready": False,
                "restartCount": 4,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed"}},
            }
        ],
    },
}


def test_a_policy() -> None:
    assert parse.policy(POLICY) == Policy("cluster-policy", "595.91.07")
    assert parse.policy({"metadata": {"name": "x"}, "spec": {"driver": {"enabled": False}}}) == Policy("x", "", False)
    by_crd = {"upgradePolicy": {"autoUpgrade": True}, "useNvidiaDriverCRD": True}
    found = parse.policy({"metadata": {"name": "x"}, "spec": {"driver": by_crd}})
    assert (found.auto_upgrade, found.by_crd) == (True, True)


def test_a_node() -> None:
    assert parse.node(NODE) == Node("gpu-1", True, True, "cordoned-by-rollout", 2)
    assert parse.node({"metadata": {"name": "new"}}) == Node("new", False)


def test_a_driver_pod() -> None:
    assert parse.driver_pod(DRIVER_POD) == DriverPod(
        "nvidia-driver-daemonset-x7k2p",
        "gpu-1",
        "nvcr.io/nvidia/driver:595.91.07-ubuntu24.04",
        ready=False,
        trouble="CrashLoopBackOff: back-off 5m0s restarting failed",
        restarts=4,
    )
    terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["gpu-2"]}]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    young = {
        "metadata": {"name": "x"},
        "spec": {"affinity": {"nodeAffinity": required}},
        "status": {"phase": "Pending"},
    }
    assert (parse.driver_pod(young).node, parse.driver_pod(young).ready) == ("gpu-2", False)


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("nvcr.io/nvidia/driver:595.91.07-ubuntu24.04", "595.91.07"),
        ("registry.site:5000/cloud/nvidia/driver:580.173.02-rhel9.6", "580.173.02"),
        ("nvcr.io/nvidia/driver@sha256:0123", "sha256:0123"),
        ("nvcr.io/nvidia/driver:580", "580"),
    ],
)
def test_the_version_in_an_image(image: str, version: str) -> None:
    assert version_of(image) == version


def _pod(name: str, limits: dict[str, str], phase: str = "Running", **meta: Any) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "models", "name": name, **meta},
        "spec": {"containers": [{"name": "a", "resources": {"limits": limits}}, {"name": "b"}]},
        "status": {"phase": phase},
    }


def test_pods_that_hold_cards() -> None:
    owner = [{"kind": "ReplicaSet", "name": "x", "controller": True}]
    init = {**_pod("init", {}), "spec": {"initContainers": [{"resources": {"requests": {"nvidia.com/gpu": "1"}}}]}}
    found = parse.gpu_pods(
        [
            _pod("served", {"nvidia.com/gpu": "2", "cpu": "4"}, ownerReferences=owner),
            _pod("none", {"cpu": "4"}),
            _pod("over", {"nvidia.com/gpu": "1"}, phase="Succeeded"),
            _pod("going", {"nvidia.com/gpu": "1"}, deletionTimestamp="2026-01-01T00:00:00Z"),
            _pod("ours", {"nvidia.com/gpu": "1"}, labels={CHECK_LABEL: "gpu-1"}),
            init,
        ]
    )
    assert found == [
        GpuPod("models", "served", 2, "ReplicaSet"),
        GpuPod("models", "going", 1, None, leaving=True),
        GpuPod("models", "ours", 1, None, check=True),
        GpuPod("models", "init", 1, None),
    ]


def test_check_pods() -> None:
    message = "0/4 nodes are available: 1 Insufficient nvidia.com/gpu, 3 node(s) didn't match"
    unscheduled = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]
    assert parse.check_pod({"status": {"phase": "Pending", "conditions": unscheduled}}) == CheckPod("Pending", message)
    pulling = [{"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}]
    assert parse.check_pod({"status": {"containerStatuses": pulling}}).waiting == "ErrImagePull: not found"
    creating = [{"state": {"waiting": {"reason": "ContainerCreating"}}}]
    assert parse.check_pod({"status": {"containerStatuses": creating}}).waiting == ""
    text = "nvidia-container-cli: initialization error: nvml error: driver/library version mismatch"
    failed = [{"state": {"terminated": {"reason": "StartError", "message": text, "exitCode": 128}}}]
    assert parse.check_pod({"status": {"phase": "Failed", "containerStatuses": failed}}).said == f"StartError {text}"
    refused = {"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": "Allocate failed due to no healthy"}
    assert parse.check_pod({"status": refused}).said.startswith("UnexpectedAdmissionError Allocate failed")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("(error code CUDA driver version is insufficient for CUDA runtime version)!", "gpu_operator.driver_version"),
        ("nvml error: driver/library version mismatch", "restart the VM"),
        ("NVRM: Xid (PCI:0000:00:05): 79, GPU has fallen off the bus", "dmesg | grep -i xid"),
        ("(error code no CUDA-capable device is detected)!", "lspci -d 10de:"),
        ("(error code system not yet initialized)!", "fabric manager"),
        ("ImagePullBackOff: Back-off pulling image", "registry.mirror"),
        ('no runtime for "nvidia" is configured', "container toolkit"),
        ("UnexpectedAdmissionError Allocate failed due to requested number of devices unavailable", "device plugin"),
        ("(error code no kernel image is available for execution on the device)!", "architecture"),
        ("(error code the provided PTX was compiled with an unsupported toolchain.)!", "555"),
        ("something new", "spec.nodeName=gpu-1"),
    ],
)
def test_what_is_known_has_its_remedy(said: str, words: str) -> None:
    assert words in remedy(said, "gpu-1")
    assert "{node}" not in remedy(said, "gpu-1")


@pytest.mark.parametrize(
    ("running", "good", "old"),
    [
        ({"gpu-1": "A", "gpu-2": "A"}, None, "A"),
        ({"gpu-1": "A", "gpu-2": "B", "gpu-3": "B"}, None, "B"),
        ({"gpu-1": "A", "gpu-2": "B", "gpu-3": "B"}, "A", "A"),
        ({"gpu-1": "A", "gpu-2": "A"}, "C", "A"),
        ({"gpu-1": "W"}, "C", "C"),
        ({"gpu-1": "W"}, "W", None),
        ({}, None, None),
    ],
)
def test_the_driver_to_go_back_to(running: dict[str, str], good: str | None, old: str | None) -> None:
    assert earlier("W", running, good) == old
