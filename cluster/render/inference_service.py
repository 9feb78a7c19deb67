"""KServe's InferenceService for a model of the settings, and where such a model answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cluster.settings.model import Model

NAMESPACE = "models"
_PORT = 8080
_LOAD_PERIOD_S = 10
_LOAD_PATIENCE = {True: 180, False: 30}
"""Probes that may fail while a model loads, by whether it has GPUs: 30 minutes for an LLM from a slow disk, else 5."""


@dataclass(frozen=True)
class Runtime:
    """A ClusterServingRuntime of the chart, the model format it is asked for, and how it says that a model is ready."""

    name: str
    format: str
    version: str
    protocol: str | None
    ready: str


RUNTIMES = {
    "vllm": Runtime("kserve-vllmserver", "vLLM", "1", None, "/v1/models"),
    "huggingface": Runtime("kserve-huggingfaceserver", "huggingface", "1", "v2", "/v2/models/{name}/ready"),
    "mlserver": Runtime("kserve-mlserver", "sklearn", "1", "v2", "/v2/models/{name}/ready"),
    "mlflow": Runtime("kserve-mlserver", "mlflow", "2", "v2", "/v2/models/{name}/ready"),
}
"""The settings' word for a runtime -> what KServe calls it (config/runtimes of KServe)."""


def base_url(model: Model) -> str:
    """Return where the model answers inside the cluster: KServe's predictor service, in mode Standard."""
    return f"http://{model.name}-predictor.{NAMESPACE}.svc.cluster.local"


def ready_url(model: Model) -> str:
    """Return the URL that answers 200 once the model is loaded."""
    return base_url(model) + RUNTIMES[model.runtime].ready.format(name=model.name)


def outside_host(model: Model, domain: str) -> str:
    """Return the model's name from outside, after KServe's default domain template."""
    return f"{model.name}-{NAMESPACE}.{domain}"


def service_annotations(model: Model) -> dict[str, str]:
    """Return annotations: which version runs, and who changes the number of replicas."""
    scaler = "hpa" if model.max_replicas > model.min_replicas else "none"
    if model.min_replicas == 0:
        scaler = "external"  # nothing in the cluster wakes a model that has no pod; a person does
    return {
        "inference-cloud/model-version": model.version,
        "inference-cloud/model-uri": model.uri,
        "serving.kserve.io/deploymentMode": "Standard",
        "serving.kserve.io/autoscalerClass": scaler,
    }


def spec(model: Model, service_account: Any) -> dict[str, Any]:
    """Return the spec; ``service_account`` may be a value that is known later."""
    runtime = RUNTIMES[model.runtime]
    predictor: dict[str, Any] = {
        "serviceAccountName": service_account,
        "minReplicas": model.min_replicas,
        "maxReplicas": max(model.max_replicas, model.min_replicas),
        # an LLM may stream for minutes; the route's own default is 60 s
        "timeout": 600,
        "model": {
            "modelFormat": {"name": runtime.format, "version": runtime.version},
            "runtime": runtime.name,
            "storageUri": model.uri,
            "resources": _resources(model),
            **_probes(model),
            **({"protocolVersion": runtime.protocol} if runtime.protocol else {}),
            **_arguments(model),
        },
    }
    if model.max_replicas > model.min_replicas > 0:
        predictor |= {"scaleMetric": "cpu", "scaleTarget": 70}
    if model.gpus:
        # a rolling update would wait for a GPU that the old pod holds
        predictor["deploymentStrategy"] = {"type": "Recreate"}
    return {"predictor": predictor}


def _resources(model: Model) -> dict[str, dict[str, str]]:
    gpus = {"nvidia.com/gpu": str(model.gpus)} if model.gpus else {}
    wanted = {"cpu": str(model.cores), "memory": f"{model.memory}Mi"} | gpus
    return {"requests": wanted, "limits": dict(wanted)}


def _probes(model: Model) -> dict[str, Any]:
    path = RUNTIMES[model.runtime].ready.format(name=model.name)
    asked = {"httpGet": {"path": path, "port": _PORT}}
    return {
        "startupProbe": {
            **asked,
            "periodSeconds": _LOAD_PERIOD_S,
            "failureThreshold": _LOAD_PATIENCE[model.gpus > 0],
            "timeoutSeconds": 5,
        },
        "readinessProbe": {**asked, "periodSeconds": 5, "failureThreshold": 3, "timeoutSeconds": 5},
        "livenessProbe": {
            "tcpSocket": {"port": _PORT},
            "periodSeconds": 20,
            "failureThreshold": 6,
            "timeoutSeconds": 5,
        },
    }


def _arguments(model: Model) -> dict[str, list[str]]:
    """Spread a model over its pod's GPUs: only vLLM has to be told."""
    if model.runtime == "vllm" and model.gpus > 1:
        return {"args": [f"--tensor-parallel-size={model.gpus}"]}
    return {}
