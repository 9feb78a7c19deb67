"""What a rollout knows of the cluster: policy, nodes, driver pods, pods that hold GPUs, check pods."""

from __future__ import annotations

from dataclasses import dataclass

GPU = "nvidia.com/gpu"
"""The resource that the device plugin offers, one for each card."""

NAMESPACE = "gpu-operator"

HOLD = "inference-cloud/gpu-driver"
"""Annotation of a node that a rollout keeps pods from; set and taken away in one patch with the cordon itself."""

OURS, KEPT = "cordoned-by-rollout", "cordoned-before"
"""What it says: who cordoned the node. One that somebody else cordoned stays so afterwards."""

CHECK_LABEL = "inference-cloud/cuda-check"
"""Label of our check pods, with the node's name."""


@dataclass(frozen=True)
class Policy:
    """The operator's ClusterPolicy, as far as it speaks of drivers."""

    name: str
    version: str
    enabled: bool = True
    auto_upgrade: bool = False
    by_crd: bool = False


@dataclass(frozen=True)
class Node:
    """A node; ``gpus`` is what it offers now, ``held`` what ``HOLD`` says of it."""

    name: str
    ready: bool
    cordoned: bool = False
    held: str | None = None
    gpus: int = 0


@dataclass(frozen=True)
class DriverPod:
    """A driver pod. ``leaving``: it is being deleted. ``trouble``: why its containers do not start, in a line."""

    name: str
    node: str
    image: str
    ready: bool
    leaving: bool = False
    trouble: str = ""
    restarts: int = 0

    @property
    def version(self) -> str:
        """The driver in its image: ``595.91.07`` of ``.../driver:595.91.07-ubuntu24.04``."""
        return version_of(self.image)


@dataclass(frozen=True)
class GpuPod:
    """A pod that holds cards of a node. ``owner``: kind of what would make it again, or None. ``check``: ours."""

    namespace: str
    name: str
    gpus: int
    owner: str | None
    leaving: bool = False
    check: bool = False

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class CheckPod:
    """A check pod: its phase, why it is not scheduled, what its container complains of."""

    phase: str
    unscheduled: str = ""
    waiting: str = ""
    said: str = ""


@dataclass(frozen=True)
class Checked:
    """What came of a check: CUDA ``works``; or there is a ``problem``, with its remedy; or neither, and ``remark`` says
    why it was not tried."""

    node: str
    gpus: int
    works: bool
    driver: str = ""
    remark: str = ""
    problem: str = ""

    def __str__(self) -> str:
        if self.problem:
            return f"{self.node}: {self.problem}"
        cards = f"{self.gpus} GPU" if self.gpus == 1 else f"{self.gpus} GPUs"
        driver = f"driver {self.driver}" if self.driver else "driver of its image"
        return f"{self.node}: {cards}, {driver}, {'CUDA works' if self.works else self.remark}"


def version_of(image: str) -> str:
    """Return the driver version of a driver image: its tag without the operating system, or its digest."""
    if "@" in image:
        return image.rpartition("@")[2]
    tag = image.rpartition(":")[2]
    return tag.rpartition("-")[0] or tag
