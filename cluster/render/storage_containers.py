"""KServe's ClusterStorageContainers: what fetches a model into its pod, and holds it to its digest.

KServe's webhook puts its init container behind all that a pod has already (kserve v0.20.0,
pkg/webhook/admission/pod/storage_initializer_injector.go), so an init container of ours could only run before the
download. Instead the download itself is ours: an InferenceService names one of these (``storageContainerName``), and
KServe merges it into the init container that it makes, with the S3 login of the pod's account.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.render.container_images import image
from cluster.render.credentials import MLFLOW_LOGIN
from cluster.render.values import resources
from cluster.settings.model import Model, Settings

SCRIPTS = "model-fetch"
"""ConfigMap with the programs, in the namespace of the models."""
CACHE = "model-cache"
"""Claim on the node's folder of fetched models, in the namespace of the models."""
CACHE_FOLDER = "/var/lib/inference-cloud-models"
"""Where a node keeps fetched models."""

NAME = "inference-cloud/model-name"
DIGEST = "inference-cloud/model-digest"
CACHED = "inference-cloud/model-cache"
"""Annotations of an InferenceService, which KServe hands on to its pods, where the init container reads them."""

_CODE = "/opt/inference-cloud"
_ROOT = Path(__file__).parents[1]
_LOGIN = (("MLFLOW_TRACKING_USERNAME", "username"), ("MLFLOW_TRACKING_PASSWORD", "password"))


@dataclass(frozen=True)
class StorageContainer:
    """A ClusterStorageContainer: its name and its spec."""

    name: str
    spec: Mapping[str, Any]


def scripts() -> dict[str, str]:
    """Return file name -> text of the programs that run in the init container; both need nothing but Python."""
    files = {"fetch.py": _ROOT / "serving/fetch.py", "verify.py": _ROOT / "transfer/verify.py"}
    return {name: path.read_text(encoding="utf-8") for name, path in files.items()}


def name_for(model: Model) -> str | None:
    """Return which container fetches a model; None where nothing is fetched (a volume of the user's)."""
    if model.uri.startswith("pvc:"):
        return None
    kind = "hugging-face" if model.uri.startswith("hf:") else "mlflow"
    return f"{kind}-cached" if model.cache else kind


def volumes(model: Model, scripts_map: Any, cache_claim: Any) -> list[dict[str, Any]]:
    """Return the volumes of a model's pods that its container mounts; the names may be values known later."""
    if name_for(model) is None:
        return []
    found: list[dict[str, Any]] = [{"name": SCRIPTS, "configMap": {"name": scripts_map}}]
    if model.cache:
        found.append({"name": CACHE, "persistentVolumeClaim": {"claimName": cache_claim}})
    return found


def storage_containers(settings: Settings, mlflow_uri: Any) -> list[StorageContainer]:
    """Return the containers that this stack's models name; ``mlflow_uri`` may be a value that is known later."""
    login = [
        {"name": variable, "valueFrom": {"secretKeyRef": {"name": MLFLOW_LOGIN, "key": key}}}
        for variable, key in _LOGIN
    ]
    registry = [{"name": "MLFLOW_TRACKING_URI", "value": mlflow_uri}, *login]
    found = []
    for cached in (False, True) if any(model.cache for model in settings.served) else (False,):
        end = "-cached" if cached else ""
        found += [
            StorageContainer(f"mlflow{end}", _spec(settings, "mlflow", ["models:/", "s3://"], registry, cached)),
            StorageContainer(
                f"hugging-face{end}", _spec(settings, "kserve-storage-initializer", ["hf://"], [], cached)
            ),
        ]
    return found


def _spec(settings: Settings, pin: str, prefixes: list[str], env: list[Any], cached: bool) -> dict[str, Any]:
    told = (("MODEL_NAME", NAME), ("MODEL_DIGEST", DIGEST), ("MODEL_CACHE", CACHED))
    mounts = [{"name": SCRIPTS, "mountPath": _CODE, "readOnly": True}]
    if cached:
        mounts.append({"name": CACHE, "mountPath": "/cache"})
    container: dict[str, Any] = {
        "name": "storage-initializer",
        "image": str(image(pin, settings.registry)),
        "command": ["python3", f"{_CODE}/fetch.py"],
        "env": [
            *env,
            *(
                {"name": name, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.annotations['{annotation}']"}}}
                for name, annotation in told
            ),
        ],
        # a download of tens of gigabytes keeps its page cache within this limit
        "resources": resources("100m", "512Mi", cpu_limit="2", memory_limit="4Gi"),
        "volumeMounts": mounts,
        # what it loaded, or the end of its log where it failed: cloudctl models promote reads both in the pod's state
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if cached:  # the node's folder is root's, and a pod's group does not reach a host path
        container["securityContext"] = {"runAsUser": 0, "runAsNonRoot": False}
    return {
        "container": container,
        "supportedUriFormats": [{"prefix": prefix} for prefix in prefixes],
        "workloadType": "initContainer",
    }
