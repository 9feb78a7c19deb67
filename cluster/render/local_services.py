"""Values and Secrets of a stack whose services run outside a cluster: the program's own functions, other host names.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster.render import credentials
from cluster.render.values import minio, mlflow, postgres_cluster
from cluster.settings.model import Secrets, Settings

POSTGRES_PORT = 5432
MLFLOW_PORT = 5000
MODEL_PORT = 8080


@dataclass(frozen=True)
class Hosts:
    """An address of 127.0.0.0/8 for each service, so that all can have the ports that they have in the cluster."""

    store: str
    database: str
    mlflow: str
    models: str

    @property
    def store_host(self) -> str:
        """The store's host with port, as the cluster's components pass it on."""
        return f"{self.store}:{minio.API_PORT}"

    @property
    def store_url(self) -> str:
        """The S3 endpoint."""
        return f"http://{self.store_host}"

    @property
    def mlflow_url(self) -> str:
        """The tracking server."""
        return f"http://{self.mlflow}:{MLFLOW_PORT}"

    @staticmethod
    def numbered(second: int, third: int) -> Hosts:
        """Return four neighbours: 127.``second``.``third``.1 to 4."""
        return Hosts(*(f"127.{second}.{third}.{last}" for last in range(1, 5)))


@dataclass(frozen=True)
class Configuration:
    """``minio``, ``mlflow``: Helm values; ``cluster``, ``auth_database``: CloudNativePG's specs; ``secrets``."""

    minio: Mapping[str, Any]
    mlflow: Mapping[str, Any]
    cluster: Mapping[str, Any]
    auth_database: Mapping[str, Any]
    secrets: Mapping[str, Mapping[str, str]]


def configuration(settings: Settings, secrets: Secrets, hosts: Hosts) -> Configuration:
    """Return what the components would make of these settings, were the services at ``hosts``."""
    root, user, owner = (
        make(secrets) for make in (credentials.minio_root, credentials.minio_user, credentials.database_owner)
    )
    database = credentials.mlflow_database(credentials.DATABASE_OWNER, secrets.postgres_password)
    s3 = credentials.s3("mlflow-s3", credentials.STORE_USER, secrets.object_store_mlflow_password)
    admin = credentials.mlflow_admin(secrets.mlflow_admin_password)
    backends = mlflow.Backends(
        database_host=hosts.database,
        database=credentials.DATABASE,
        auth_database=credentials.AUTH_DATABASE,
        database_secret=database.name,
        s3_endpoint=hosts.store_url,
        s3_bucket=credentials.ARTIFACTS,
        s3_secret=s3.name,
        admin_secret=admin.name,
    )
    return Configuration(
        minio=minio.values(
            settings,
            root_secret=root.name,
            user=credentials.STORE_USER,
            user_secret=user.name,
            user_key=credentials.USER_KEY,
            buckets=credentials.buckets(settings),
            claim=minio.CLAIM,
            service_monitors=True,
        ),
        mlflow=mlflow.values(settings, backends, hosts=mlflow.allowed_hosts(hosts.mlflow, mlflow.SERVICE)),
        cluster=postgres_cluster.cluster(settings, owner_secret=owner.name, storage_class=""),
        auth_database=postgres_cluster.auth_database("postgres"),
        secrets={each.name: each.plain() for each in (root, user, owner, database, s3, admin)},
    )
