"""KServe's InferenceService for a model of the settings, its route, and where such a model answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster.render import failover, storage_containers
from cluster.render.container_images import mirrored, parse
from cluster.render.names import candidate_name, predictor, standby_name
from cluster.render.scheduling import leave
from cluster.settings.model import Container, Model, Registry
from cluster.settings.served import standby_of

NAMESPACE = "models"
LEAVE_AFTER = 30
"""Seconds; ``serving.leave_after`` where nothing else is written. Kubernetes' own default is 300."""
SHARE = 100
"""Weights of a route are percents."""
_PORT = 8080
_MLSERVER_METRICS = 8082
"""MLServer's own default; at its HTTP port ``/metrics`` is not found."""

_CONTAINER = "kserve-container"
"""The container of a predictor that serves, as KServe names it."""

_LOAD_PERIOD_S = 10
_LOAD_PATIENCE = {True: 180, False: 30}
"""Probes that may fail while a model loads, by whether it has GPUs: 30 minutes for an LLM from a slow disk, else 5."""

STOP = "serving.kserve.io/stop"
"""KServe's annotation. While it is "true", a service has no Deployment, no autoscaler and no route, and keeps its
definition; without it they come again (kserve v0.20.0, reconcilers/deployment, mode Standard)."""
SERVICE = "serving.kserve.io/inferenceservice"
"""Label of a predictor's pods: whose they are."""

INTERNAL = {"networking.kserve.io/visibility": "cluster-local"}
"""Label that keeps KServe from making routes: the route of a model is ours, because its weights share out requests."""

OURS = {"pulumi.com/patchForce": "true"}
"""What ``cloudctl models promote`` changed for a while, an update may set again without a conflict."""


@dataclass(frozen=True)
class Runtime:
    """A ClusterServingRuntime of the chart, the model format it is asked for, and how it says that a model is ready."""

    name: str
    format: str
    version: str
    protocol: str | None
    ready: str
    metrics_port: int = _PORT


RUNTIMES = {
    "vllm": Runtime("kserve-vllmserver", "vLLM", "1", None, "/v1/models"),
    "huggingface": Runtime("kserve-huggingfaceserver", "huggingface", "1", "v2", "/v2/models/{name}/ready"),
    "mlserver": Runtime("kserve-mlserver", "sklearn", "1", "v2", "/v2/models/{name}/ready", _MLSERVER_METRICS),
    "mlflow": Runtime("kserve-mlserver", "mlflow", "2", "v2", "/v2/models/{name}/ready", _MLSERVER_METRICS),
}
"""The settings' word for a runtime -> what KServe calls it (config/runtimes of KServe); ``custom`` has none."""


_NAME_OPTION = {"vllm": "--served-model-name", "huggingface": "--model_name"}
"""How a server is told the name that it answers to; the last word wins over the runtime's own, the service's name."""


def base_url(model: Model) -> str:
    """Return where the model answers inside the cluster: KServe's predictor service, in mode Standard."""
    return f"http://{predictor(model.name)}.{NAMESPACE}.svc.cluster.local"


def ready_path(model: Model) -> str:
    """Return the path that answers 200 once the model is loaded."""
    if model.container is not None:
        return model.container.ready
    return RUNTIMES[model.runtime].ready.format(name=model.name)


def ready_url(model: Model) -> str:
    """Return the URL that answers 200 once the model is loaded."""
    return base_url(model) + ready_path(model)


def metrics_port(model: Model) -> int:
    """Return the port of a pod that shows the server's metrics, under /metrics."""
    return model.container.port if model.container else RUNTIMES[model.runtime].metrics_port


def outside_host(model: Model, domain: str) -> str:
    """Return the model's name from outside, after KServe's default domain template."""
    return f"{model.name}-{NAMESPACE}.{domain}"


def service_annotations(model: Model) -> dict[str, str]:
    """Return annotations: which version runs, what it must be, and who changes the number of replicas."""
    scaler = "hpa" if model.max_replicas > model.min_replicas else "none"
    stopped = {}
    if model.min_replicas == 0:
        # nothing in the cluster wakes a model that has no pod; a person does, and says how many there are
        scaler, stopped = "external", {STOP: "true"}
    return {
        "inference-cloud/model-version": model.version,
        "inference-cloud/model-uri": model.uri,
        storage_containers.NAME: model.name,
        storage_containers.DIGEST: model.digest or "",
        storage_containers.CACHED: str(model.cache).lower(),
        "serving.kserve.io/deploymentMode": "Standard",
        "serving.kserve.io/autoscalerClass": scaler,
        **stopped,
        **OURS,
    }


def spec(
    model: Model,
    service_account: Any,
    *,
    registry: Registry | None = None,
    scripts: Any = storage_containers.SCRIPTS,
    cache: Any = storage_containers.CACHE,
    leave_after: int = LEAVE_AFTER,
) -> dict[str, Any]:
    """Return the spec; account, ConfigMap of the programs and claim of the cache may be values known later.

    ``leave_after``: seconds after which its pods leave a node that does not answer.
    """
    found: dict[str, Any] = {
        "serviceAccountName": service_account,
        "minReplicas": model.min_replicas,
        "maxReplicas": max(model.max_replicas, model.min_replicas),
        "timeout": model.timeout,
        "tolerations": leave(leave_after),
    }
    container = storage_containers.name_for(model)
    if container:
        found |= {"storageContainerName": container, "volumes": storage_containers.volumes(model, scripts, cache)}
    if model.container is not None:
        found["containers"] = [_custom(model, model.container, registry or Registry())]
    else:
        found["model"] = _served(model)
    if model.max_replicas > model.min_replicas > 0:
        found |= {
            "scaleMetric": model.scale.metric,
            "scaleMetricType": "Utilization",
            "scaleTarget": model.scale.target,
        }
    if model.gpus:
        # one after the other: a new pod waits for the GPU that an old one holds, so that one goes first
        rolling = {"maxSurge": 0, "maxUnavailable": 1}
        found["deploymentStrategy"] = {"type": "RollingUpdate", "rollingUpdate": rolling}
    return {"predictor": found}


def route_spec(model: Model, domain: str, parent: Any, *, candidate: int = 0) -> dict[str, Any]:
    """Return the spec of a model's HTTPRoute; ``candidate`` percent of its requests go to the version under test.

    ``parent`` is the Gateway, as a parentRef. A model with a standby has it behind the others (``failover``).
    """
    shares = {predictor(model.name): SHARE - candidate}
    if candidate:
        shares[predictor(candidate_name(model.name))] = candidate
    backends = failover.refs(model, shares) if standby_of(model) else _services(shares)
    return {
        "parentRefs": [parent],
        "hostnames": [outside_host(model, domain)],
        "rules": [{"backendRefs": backends, "timeouts": {"request": f"{model.timeout}s"}}],
    }


def _services(shares: Mapping[str, int]) -> list[dict[str, Any]]:
    return [{"name": name, "port": 80, "weight": share} for name, share in shares.items()]


def monitor_spec(model: Model) -> dict[str, Any]:
    """Return the spec of the PodMonitor of a model, its candidate and standby; series say which as ``model``."""
    ports = {model.name: metrics_port(model), candidate_name(model.name): metrics_port(model)}
    if standby := standby_of(model):
        ports[standby_name(model.name)] = metrics_port(standby)
    return {
        "selector": {"matchExpressions": [{"key": SERVICE, "operator": "In", "values": list(ports)}]},
        "podMetricsEndpoints": [
            _measured([name for name, its in ports.items() if its == port], port)
            for port in dict.fromkeys(ports.values())
        ],
    }


def _measured(services: list[str], port: int) -> dict[str, Any]:
    """The address is put together here: KServe's runtimes declare no ports, so Kubernetes tells none."""
    told = "__meta_kubernetes_pod_label_serving_kserve_io_inferenceservice"
    container = "__meta_kubernetes_pod_container_name"
    return {
        "path": "/metrics",
        "relabelings": [
            {"action": "keep", "sourceLabels": [container], "regex": _CONTAINER},
            {"action": "keep", "sourceLabels": [told], "regex": "|".join(services)},
            {
                "sourceLabels": ["__meta_kubernetes_pod_ip"],
                "regex": "(.+)",
                "targetLabel": "__address__",
                "replacement": f"$1:{port}",
            },
            {"sourceLabels": [told], "targetLabel": "model"},
        ],
    }


def _served(model: Model) -> dict[str, Any]:
    runtime = RUNTIMES[model.runtime]
    option = _NAME_OPTION.get(model.runtime)
    args = [*([f"{option}={model.name}"] if option else []), *_arguments(model)]
    # a candidate's service has another name than its model, and answers under the model's
    env = [{"name": "MLSERVER_MODEL_NAME", "value": model.name}] if runtime.name == "kserve-mlserver" else []
    return {
        "modelFormat": {"name": runtime.format, "version": runtime.version},
        "runtime": runtime.name,
        "storageUri": model.uri,
        "resources": _resources(model),
        **_probes(model),
        **({"protocolVersion": runtime.protocol} if runtime.protocol else {}),
        **({"args": args} if args else {}),
        **({"env": env} if env else {}),
    }


def _custom(model: Model, wish: Container, registry: Registry) -> dict[str, Any]:
    """A container of the user's: KServe mounts the model where STORAGE_URI asks for one."""
    env = {"STORAGE_URI": model.uri, "MODEL_NAME": model.name, **wish.env}
    return {
        "name": _CONTAINER,
        "image": str(mirrored(parse(wish.image), registry)),
        **({"command": list(wish.command)} if wish.command else {}),
        **({"args": list(wish.args)} if wish.args else {}),
        "env": [{"name": key, "value": value} for key, value in env.items()],
        "ports": [{"containerPort": wish.port, "protocol": "TCP"}],
        "resources": _resources(model),
        **_probes(model, wish.port),
    }


def _resources(model: Model) -> dict[str, dict[str, str]]:
    gpus = {"nvidia.com/gpu": str(model.gpus)} if model.gpus else {}
    wanted = {"cpu": str(model.cores), "memory": f"{model.memory}Mi"} | gpus
    return {"requests": wanted, "limits": dict(wanted)}


def _probes(model: Model, port: int = _PORT) -> dict[str, Any]:
    asked = {"httpGet": {"path": ready_path(model), "port": port}}
    return {
        "startupProbe": {
            **asked,
            # KServe's vLLM runtime has 30, and KServe keeps what is not told; 0 counts as not told
            "initialDelaySeconds": 1,
            "periodSeconds": _LOAD_PERIOD_S,
            "failureThreshold": _LOAD_PATIENCE[model.gpus > 0],
            "timeoutSeconds": 5,
        },
        "readinessProbe": {**asked, "periodSeconds": 5, "failureThreshold": 3, "timeoutSeconds": 5},
        "livenessProbe": {
            "tcpSocket": {"port": port},
            "periodSeconds": 20,
            "failureThreshold": 6,
            "timeoutSeconds": 5,
        },
    }


def _arguments(model: Model) -> list[str]:
    """What vLLM has to be told: how many GPUs to spread over, and how the weights are packed."""
    if model.runtime != "vllm":
        return []
    spread = [f"--tensor-parallel-size={model.gpus}"] if model.gpus > 1 else []
    return spread + ([f"--quantization={model.quantization}"] if model.quantization else [])
