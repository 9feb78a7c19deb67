"""One stack of services: started together, reached by the logins that every other client uses, ended together."""

from __future__ import annotations

import random
import socket
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pydantic import SecretStr

from cluster.render import credentials
from cluster.render.local_services import Configuration, Hosts, configuration
from cluster.services.logins import MLflowLogin, S3Login
from cluster.settings.init import make_password
from cluster.settings.model import Model, Secrets, Settings
from lab.services import database, serving, store, tracking
from lab.services.problems import ServicesError
from lab.services.processes import Processes
from lab.services.servers import Servers
from toolchain.progress import say

_PORTS = (5432, 9000, 9001, 5000, 8080)


def new_folder() -> Path:
    """Return an empty folder that PostgreSQL's user can get through to its own part."""
    folder = Path(tempfile.mkdtemp(prefix="inference-cloud-services-"))
    folder.chmod(0o711)
    (folder / "logs").mkdir(mode=0o700)
    return folder


def new_secrets() -> Secrets:
    """Return passwords as ``cloudctl init`` makes them."""
    return Secrets(**{name: SecretStr(make_password()) for name in Secrets.made()})


def free_hosts() -> Hosts:
    """Return addresses of loopback whose ports nobody has. Raises ServicesError where there are none."""
    draw = random.SystemRandom()
    for _ in range(50):
        hosts = Hosts.numbered(draw.randrange(16, 255), draw.randrange(256))
        if all(_free(host, port) for host in (hosts.store, hosts.database, hosts.mlflow) for port in _PORTS):
            return hosts
    raise ServicesError("no free addresses in 127.0.0.0/8; are hundreds of stacks running?")


@dataclass
class Stack:
    """PostgreSQL, MinIO and MLflow, and model servers as they are asked for; all data in ``folder``."""

    settings: Settings
    secrets: Secrets
    servers: Servers
    folder: Path
    hosts: Hosts
    processes: Processes
    models: dict[str, str] = field(default_factory=dict)
    """Served model -> its URL."""

    @cached_property
    def configuration(self) -> Configuration:
        """What the components would make of the settings."""
        return configuration(self.settings, self.secrets, self.hosts)

    @property
    def s3_root(self) -> S3Login:
        """The store's root user."""
        login = credentials.minio_root(self.secrets).plain()
        return S3Login(self.hosts.store_url, login["rootUser"], SecretStr(login["rootPassword"]))

    @property
    def s3(self) -> S3Login:
        """The limited user, by what MLflow, the transfer and KServe find in their Secrets."""
        login = self.configuration.secrets["mlflow-s3"]
        secret = SecretStr(login[credentials.SECRET_KEY])
        return S3Login(self.hosts.store_url, login[credentials.ACCESS_KEY], secret)

    @property
    def mlflow(self) -> MLflowLogin:
        """MLflow's first user."""
        login = self.configuration.secrets["mlflow-admin"]
        return MLflowLogin(self.hosts.mlflow_url, login["username"], SecretStr(login["password"]))

    @property
    def database(self) -> str:
        """The owner's login to MLflow's database, as libpq takes it."""
        return database.conninfo(self.configuration, self.hosts.database)

    def environment(self) -> dict[str, str]:
        """Return the variables by which cloudctl, boto3 and MLflow find this stack."""
        return {
            "AWS_ENDPOINT_URL_S3": self.s3.endpoint,
            "AWS_ACCESS_KEY_ID": self.s3.access_key,
            "AWS_SECRET_ACCESS_KEY": self.s3.secret_key.get_secret_value(),
            "AWS_DEFAULT_REGION": self.s3.region,
            **self.mlflow.environment(),
            "DATABASE_URL": self.database,
        }

    def declare(self) -> None:
        """Make the three servers known to the processes, with their folders; nothing is started."""
        self.processes.add(database.process(self.servers.postgres, self.folder / "postgresql", self.hosts.database))
        self.processes.add(store.process(self.servers.minio, self.folder / "minio", self.configuration, self.hosts))
        self.processes.add(
            tracking.process(self.servers, self.folder / "mlflow", self.configuration, self.hosts.mlflow, self.mlflow)
        )

    def up(self) -> None:
        """Start what does not run, and make what the charts make after an install, as far as it is not there.

        What fails ends everything.
        """
        try:
            self.declare()
            for name in (database.NAME, store.NAME):
                self._start(name)
            database.apply(self.configuration, self.folder / "postgresql")
            store.apply(self.configuration, self.s3_root, self.hosts.store_host)
            tracking.migrate(self.servers, self.folder / "mlflow", self.configuration, self.processes.log("migration"))
            self._start(tracking.NAME)
        except BaseException:
            self.processes.stop_all()
            raise

    def _start(self, name: str) -> None:
        if not self.processes.running(name):
            say(f"starting {name}")
            self.processes.start(name)

    def serve(self, model_folder: Path, name: str, runtime: str = "mlserver") -> str:
        """Serve a model's files and return the service's URL, once the model is ready by the v2 protocol.

        ``runtime``: mlserver (scikit-learn's model.joblib) or mlflow (a folder with MLmodel), as in the settings.
        """
        model = Model.model_validate({"name": name, "uri": f"s3://models/{name}/1", "version": "1", "runtime": runtime})
        port = next(port for index in range(100) if _free(self.hosts.models, port := serving.port_of(index)))
        server = serving.process(self.servers, model, model_folder, self.hosts.models, port, self.folder / name)
        self.processes.add(server)
        try:
            self.processes.start(server.name)
        except ServicesError:
            self.processes.stop(server.name)
            raise
        self.models[name] = f"http://{self.hosts.models}:{port}"
        return self.models[name]

    def stop(self, name: str) -> None:
        """End a model's server."""
        self.processes.stop(serving.process_name(name))
        self.models.pop(name, None)


def _free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
