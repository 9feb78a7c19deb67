"""DaemonSets that have the nodes fetch the models' images before the first model needs them.

An LLM's server is an image of ten gigabytes: fetched when a pod starts, it is most of that pod's start. Each image is
an init container that ends at once; what stays is a container that only sleeps, so that the kubelet sees the images
in use and does not clear them away.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cluster.render.container_images import image
from cluster.render.values import resources
from cluster.settings.model import Model, Settings
from cluster.versions.images import GPU_BUILD

NAMESPACE = "prepull"

_RUNTIMES = {
    "vllm": "vllm",
    "huggingface": "kserve-huggingfaceserver",
    "mlserver": "mlserver",
    "mlflow": "mlserver",
}
"""Runtime of the settings -> pin in ``versions.IMAGES``."""

GPU_NODES = {"nvidia.com/gpu.present": "true"}
"""Label that the GPU operator's feature discovery gives to nodes with cards."""

_GPU_TAINT = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


def daemon_sets(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return name -> spec of a DaemonSet for the GPU nodes and one for all nodes; without images there is none.

    Only a model that has GPUs runs on GPU nodes for sure, so only its images are for these alone.
    """
    if not settings.serving.prepull:
        return {}
    with_gpu = _images([each for each in settings.served if each.gpus], settings)
    without = _images([*(each for each in settings.served if not each.gpus), *settings.standbys], settings)
    found = {}
    if only := [each for each in with_gpu if each not in without]:
        found["gpu-nodes"] = _spec("gpu-nodes", only, settings)
        pod = found["gpu-nodes"]["template"]["spec"]
        pod |= {"nodeSelector": GPU_NODES, "tolerations": [_GPU_TAINT]}
    if without:
        found["nodes"] = _spec("nodes", without, settings)
    return found


def _images(models: Sequence[Model], settings: Settings) -> list[str]:
    """Return the images of the models' pods: the server, and what fetches the model.

    Nobody knows what programs are in a container of one's own, so nothing can be run there that only ends.
    """
    found = set()
    for model in models:
        if model.runtime in _RUNTIMES:
            build = GPU_BUILD if model.runtime == "huggingface" and model.gpus else ""
            found.add(f"{image(_RUNTIMES[model.runtime], settings.registry)}{build}")
        if not model.uri.startswith("pvc:"):
            fetcher = "kserve-storage-initializer" if model.uri.startswith("hf:") else "mlflow"
            found.add(str(image(fetcher, settings.registry)))
    return sorted(found)


def _spec(name: str, images: Sequence[str], settings: Settings) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": "prepull", "app.kubernetes.io/component": name}
    asleep = _container("asleep", str(image("pause", settings.registry)))
    # the image has this one program, which prints its version and ends with -v
    probe = {"exec": {"command": ["/pause", "-v"]}, "periodSeconds": 60}
    return {
        "selector": {"matchLabels": labels},
        # images are fetched on all nodes at once: they serve nothing that would have to stay up
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%"}},
        "template": {
            "metadata": {"labels": labels},
            "spec": {
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 1,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 65532,
                    "runAsGroup": 65532,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "initContainers": [
                    _container(f"image-{number}", each) | {"command": ["sh", "-c", "exit 0"]}
                    for number, each in enumerate(images)
                ],
                "containers": [asleep | {"readinessProbe": probe, "livenessProbe": probe}],
            },
        },
    }


def _container(name: str, reference: str) -> dict[str, Any]:
    return {
        "name": name,
        "image": reference,
        "imagePullPolicy": "IfNotPresent",
        "resources": resources("10m", "32Mi"),
        # images for GPUs ask for all cards by this variable, and a card is not what is wanted here
        "env": [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
