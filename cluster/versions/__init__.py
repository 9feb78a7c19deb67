"""Every pin of the project, once, and which of them go together.

A renovate comment above a pin says where newer ones are announced. Ranges are inclusive and name Kubernetes minors.
Tables: ``kubernetes`` (Kubespray, k3s, kubeadm), ``charts``, ``images``; ``judge`` says what goes together.
"""

from __future__ import annotations

from cluster.versions.charts import CHARTS
from cluster.versions.gpu import (
    DRIVER_DEFAULT,
    DRIVER_FLOOR,
    GPU_DRIVERS,
    RUNTIMES,
    GpuDriver,
    Runtime,
    branch_of,
    find_driver,
    fit,
    nearest_driver,
    tuple_text,
)
from cluster.versions.images import CLOUD_IMAGES, DEBIAN_IMAGE, IMAGES, UBUNTU_IMAGE
from cluster.versions.judge import chart_conflicts, chart_range, installs, nearest_tuple, newest_patch, parts_for
from cluster.versions.kubernetes import (
    ANSIBLE_CORE,
    CALICO_MANIFESTS,
    K3S_DEFAULT,
    KUBERNETES_DEFAULT,
    KUBERNETES_FLOOR,
    KUBESPRAY,
    KUBESPRAY_DEFAULT,
    KUBESPRAY_URL,
)
from cluster.versions.model import Chart, CloudImage, Kubespray, Minor, minor_of, show, version_of
from cluster.versions.upgrade import UpgradeStep, release_step, upgrade_step

__all__ = [
    "ANSIBLE_CORE",
    "CALICO_MANIFESTS",
    "CHARTS",
    "CLOUD_IMAGES",
    "DEBIAN_IMAGE",
    "DRIVER_DEFAULT",
    "DRIVER_FLOOR",
    "GPU_DRIVERS",
    "IMAGES",
    "K3S_DEFAULT",
    "KUBERNETES_DEFAULT",
    "KUBERNETES_FLOOR",
    "KUBESPRAY",
    "KUBESPRAY_DEFAULT",
    "KUBESPRAY_URL",
    "RUNTIMES",
    "UBUNTU_IMAGE",
    "Chart",
    "CloudImage",
    "GpuDriver",
    "Kubespray",
    "Minor",
    "Runtime",
    "UpgradeStep",
    "branch_of",
    "chart_conflicts",
    "chart_range",
    "find_driver",
    "fit",
    "installs",
    "minor_of",
    "nearest_driver",
    "nearest_tuple",
    "newest_patch",
    "parts_for",
    "release_step",
    "show",
    "tuple_text",
    "upgrade_step",
    "version_of",
]
