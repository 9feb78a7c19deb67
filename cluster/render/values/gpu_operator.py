"""Release gpu-operator: driver, container toolkit, device plugin, DCGM exporter on the GPU workers.

Keys from the chart's values.yaml. There is no driver container for Debian, so there ``gpu_operator.driver`` is off
and the image carries the driver.
"""

from __future__ import annotations

from cluster.render.container_images import mirrored_path
from cluster.render.values import Leaf, Values, resources
from cluster.settings.model import Settings
from cluster.versions import DRIVER_DEFAULT

DCGM_JOB = "nvidia-dcgm-exporter"
"""Label ``job`` of the exporter's metrics: its ServiceMonitor takes it from the service's label ``app``."""

_REPOSITORIES = {
    "validator": "nvcr.io/nvidia",
    "operator": "nvcr.io/nvidia",
    "driver": "nvcr.io/nvidia",
    "toolkit": "nvcr.io/nvidia/k8s",
    "devicePlugin": "nvcr.io/nvidia",
    "dcgm": "nvcr.io/nvidia/cloud-native",
    "dcgmExporter": "nvcr.io/nvidia/k8s",
    "gfd": "nvcr.io/nvidia",
    "migManager": "nvcr.io/nvidia/cloud-native",
}
"""Repositories that the chart's values.yaml names for what runs here; a mirror replaces each."""

_NOT_THE_MANAGERS = ("ENABLE_GPU_POD_EVICTION", "ENABLE_AUTO_DRAIN")
"""What NVIDIA/k8s-driver-manager does unless it is told not to (cmd/driver-manager/main.go)."""


def values(settings: Settings, *, service_monitors: Leaf) -> Values:
    """Return the values; ``service_monitors``: whether the Prometheus operator's CRDs are there."""
    wish = settings.gpu_operator
    result: Values = {
        "operator": {"resources": resources("200m", "350Mi", cpu_limit="500m")},
        "driver": _driver(settings),
        "toolkit": _toolkit(settings),
        "devicePlugin": {"enabled": True},
        # whole cards only: MIG is a per-card decision of whoever runs the host
        "migManager": {"enabled": False},
        "dcgmExporter": {
            "enabled": wish.dcgm_exporter,
            "serviceMonitor": _monitor(service_monitors) if wish.dcgm_exporter else {"enabled": False},
            "resources": resources("50m", "256Mi"),
        },
    }
    return _from_mirror(result, settings) if settings.registry.mirror else result


def _monitor(enabled: Leaf) -> Values:
    """Have the cards' node told as ``node``: the exporter's own label is Hostname, or hostname from 4.6 on."""
    node = {"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "node"}
    relabelings = [{**node, "action": "replace", "regex": "(.+)", "replacement": "$1"}]
    return {"enabled": enabled, "relabelings": relabelings}


def driver_version(settings: Settings) -> str | None:
    """Return the driver that the operator is to install, or None where the image carries one."""
    wish = settings.gpu_operator
    return (wish.driver_version or DRIVER_DEFAULT) if wish.driver else None


_K3S = "/var/lib/rancher/k3s/agent/etc/containerd"
_K3S_TOOLKIT = {
    "CONTAINERD_CONFIG": f"{_K3S}/config.toml",
    "CONTAINERD_SOCKET": "/run/k3s/containerd/containerd.sock",
    # There is no containerd on PATH that could be asked for its configuration, which is the toolkit's first choice.
    "RUNTIME_CONFIG_SOURCE": f"file={_K3S}/config.toml",
    # k3s writes config.toml anew at each start, and has it import this folder.
    "RUNTIME_DROP_IN_CONFIG": f"{_K3S}/config-v3.toml.d/99-nvidia.toml",
}
"""Where k3s has its own containerd; without, the toolkit configures one that is not there. The names, and what becomes
of them: controllers/object_controls.go (getRuntimeConfigFiles) and transforms_test.go of the operator's v26.7.0."""


def _toolkit(settings: Settings) -> Values:
    if settings.kubernetes.provisioner != "k3s":
        return {"enabled": True}
    return {"enabled": True, "env": [{"name": name, "value": value} for name, value in _K3S_TOOLKIT.items()]}


def _driver(settings: Settings) -> Values:
    """Return the driver's part; a driver changes by our rollout alone (``cluster.drivers``)."""
    version = driver_version(settings)
    if version is None:
        return {"enabled": False}
    return {
        "enabled": True,
        "version": version,
        # The operator would change all nodes by itself; without, a driver pod changes when it is deleted (OnDelete).
        "upgradePolicy": {"autoUpgrade": False},
        # Without autoUpgrade the driver manager would evict pods, and uncordon the node before its new driver works.
        "manager": {"env": [{"name": name, "value": "false"} for name in _NOT_THE_MANAGERS]},
    }


def _from_mirror(result: Values, settings: Settings) -> Values:
    for part, repository in _REPOSITORIES.items():
        result.setdefault(part, {})["repository"] = mirrored_path(repository, settings.registry)
    manager = mirrored_path("nvcr.io/nvidia/cloud-native", settings.registry)
    result["driver"].setdefault("manager", {})["repository"] = manager
    nfd = mirrored_path("registry.k8s.io/nfd/node-feature-discovery", settings.registry)
    result["node-feature-discovery"] = {"image": {"repository": nfd}}
    return result
