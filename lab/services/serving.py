"""A model server on loopback, as KServe's runtime kserve-mlserver would start it for an InferenceService."""

from __future__ import annotations

import os
from pathlib import Path

from cluster.health import ask
from cluster.health.judge import judge
from cluster.render import chart_containers
from cluster.render.inference_service import RUNTIMES
from cluster.render.local_services import MODEL_PORT
from cluster.settings.model import Model
from lab.services.problems import ServicesError
from lab.services.processes import Process
from lab.services.servers import Servers


def process(servers: Servers, model: Model, folder: Path, host: str, port: int, work: Path) -> Process:
    """Return the server of a model whose files lie in ``folder``, as KServe's storage initializer puts them there.

    Raises ServicesError where the model's runtime is not MLServer: the others take a GPU or an image of 10 GB.
    """
    runtime = RUNTIMES[model.runtime]
    if runtime.name != "kserve-mlserver":
        raise ServicesError(f"model {model.name}: runtime {model.runtime} does not run here; mlserver and mlflow do")
    work.mkdir(parents=True, exist_ok=True)
    # The runtime's gRPC and MLServer's measurements, which nobody asks for here, keep out of the way of other models.
    launch = chart_containers.mlserver_launch(runtime.format, model.name, str(folder), host, (port, port + 1, port + 2))
    url = f"http://{host}:{port}"
    return Process(
        name=process_name(model.name),
        command=(servers.program("mlserver"), *launch.arguments),
        environment={
            "PATH": f"{servers.python.parent}{os.pathsep}{os.defpath}",
            "HOME": str(work),
            "PYTHONUNBUFFERED": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            # one process instead of one for each core: a worker imports everything once more
            "MLSERVER_PARALLEL_WORKERS": "0",
            **launch.environment,
        },
        folder=work,
        ready=lambda: judge(model.name, "model", ask.model(url, model.name)).reason or None,
    )


def process_name(model: str) -> str:
    """Return the name of a model's server among the processes."""
    return f"model-{model}"


def port_of(index: int) -> int:
    """Return the HTTP port of the model that is served as number ``index``, from 0."""
    return MODEL_PORT + 10 * index
