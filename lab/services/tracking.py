"""MLflow's server on loopback, as its chart would start it: migration first, then the server with users and rights."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cluster import whole
from cluster.health import ask
from cluster.health.judge import judge
from cluster.render import chart_containers
from cluster.render.local_services import Configuration
from cluster.services.logins import MLflowLogin
from lab.services.problems import ServicesError
from lab.services.processes import Process
from lab.services.servers import Servers
from toolchain.progress import last_line, run

NAME = "mlflow"


def migrate(servers: Servers, folder: Path, wanted: Configuration, log: Path) -> None:
    """Make the database's tables, or bring them to this version. Raises ServicesError."""
    environment = _base(folder) | chart_containers.mlflow_environment(wanted.mlflow, wanted.secrets)
    command = [str(servers.python), "-c", chart_containers.mlflow_migration(wanted.mlflow)]
    if run("tables of MLflow", command, log=log, cwd=folder, env=environment) != 0:
        raise ServicesError(f"MLflow's tables could not be made: {last_line(log)} (log: {log})")


def process(servers: Servers, folder: Path, wanted: Configuration, host: str, login: MLflowLogin) -> Process:
    """Return the tracking server; its temporary files lie in ``folder``/tmp, the pod's emptyDir there."""
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    auth = folder / "basic_auth.ini"
    whole.replace(auth, chart_containers.mlflow_auth_file(wanted.mlflow, wanted.secrets), whole.PRIVATE)
    launch = chart_containers.mlflow_launch(wanted.mlflow, wanted.secrets, host)
    return Process(
        name=NAME,
        # one worker instead of four: each takes seconds and 300 MB to start, and nobody here is in a hurry
        command=(servers.program("mlflow"), *_inside(launch.arguments, folder), "--workers=1"),
        environment={
            **_base(folder),
            **launch.environment,
            "MLFLOW_AUTH_CONFIG_PATH": str(auth),
            # the chart's own Secret, a random word
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(16),
        },
        folder=folder,
        ready=lambda: judge(NAME, "mlflow", ask.mlflow(login)).reason or None,
    )


def _base(folder: Path) -> dict[str, str]:
    return {"PATH": os.defpath, "HOME": str(folder), "TMPDIR": str(folder / "tmp"), "PYTHONUNBUFFERED": "1"}


def _inside(arguments: tuple[str, ...], folder: Path) -> list[str]:
    """Let what the values put into the pod's /tmp lie in the folder's."""
    return [word.replace("=/tmp/", f"={folder}/tmp/") for word in arguments]  # noqa: S108 the pod's own
