"""The init container of a model's pod as a process: its own program, with the environment that KServe would give it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from cluster.render import chart_containers, credentials, storage_containers
from lab.services.stack import Stack


def fetch(stack: Stack, uri: str, target: Path, name: str, digest: str = "") -> subprocess.CompletedProcess[str]:
    """Run it for a ``models:/`` URI; exit status 0: ``target`` holds the model, 1: it must not be served.

    The Python of the servers has what MLflow's image has: MLflow and boto3.
    """
    code = stack.folder / "fetch"
    code.mkdir(exist_ok=True)
    for file, text in storage_containers.scripts().items():
        (code / file).write_text(text)
    container = next(
        each.spec["container"]
        for each in storage_containers.storage_containers(stack.settings, stack.hosts.mlflow_url)
        if each.name == "mlflow"
    )
    password = stack.secrets.mlflow_admin_password
    user, key = credentials.STORE_USER, stack.secrets.object_store_mlflow_password
    login = credentials.mlflow_admin(password, credentials.MLFLOW_LOGIN)
    access = credentials.kserve_s3(f"{name}-s3", user, key, stack.hosts.store_host)
    told = {storage_containers.NAME: name, storage_containers.DIGEST: digest}
    environment = {
        "PATH": f"{stack.servers.python.parent}{os.pathsep}{os.defpath}",
        "HOME": str(code),
        **chart_containers.container_environment(container, {login.name: login.plain()}, told),
        **chart_containers.kserve_s3_environment(access.plain(), dict(access.annotations)),
    }
    command = [str(stack.servers.python), str(code / "fetch.py"), uri, str(target)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
