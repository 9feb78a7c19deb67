"""Values and Secrets of a stack whose services run outside a cluster: the program's own functions, other host names.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster.render import credentials, store_users
from cluster.render.values import minio, mlflow, postgres_backup, postgres_cluster
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
    """``minio``, ``mlflow``: Helm values; ``cluster``, ``auth_database``: CloudNativePG's specs; ``archive``: its
    plugin's, where PostgreSQL archives; ``secrets``.
    """

    minio: Mapping[str, Any]
    mlflow: Mapping[str, Any]
    cluster: Mapping[str, Any]
    auth_database: Mapping[str, Any]
    archive: Mapping[str, Any] | None
    secrets: Mapping[str, Mapping[str, str]]


def configuration(settings: Settings, secrets: Secrets, hosts: Hosts) -> Configuration:
    """Return what the components would make of these settings, were the services at ``hosts``."""
    root, owner = credentials.minio_root(secrets), credentials.database_owner(secrets)
    users = store_users.users(settings, secrets)
    database = credentials.mlflow_database(credentials.DATABASE_OWNER, secrets.postgres_password)
    s3 = credentials.s3("mlflow-s3", credentials.STORE_USER, secrets.object_store_mlflow_password)
    admin = credentials.mlflow_admin(secrets.mlflow_admin_password)
    archiver = credentials.postgres_archive(secrets)
    archive = None
    if settings.backup and store_users.archives(settings):
        archive = postgres_backup.object_store(settings.backup, endpoint=hosts.store_url, secret=archiver.name)
    logins = [root, owner, database, s3, admin, *(user.login for user in users)]
    logins += [archiver] if archive else []
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
            users=[(user, user.login.name) for user in users],
            buckets=store_users.buckets(settings),
            claim=minio.CLAIM,
            service_monitors=True,
        ),
        mlflow=mlflow.values(settings, backends, hosts=mlflow.allowed_hosts(hosts.mlflow, mlflow.SERVICE)),
        cluster=postgres_cluster.cluster(
            settings,
            owner_secret=owner.name,
            storage_class="",
            archive=postgres_backup.STORE if archive else None,
        ),
        auth_database=postgres_cluster.auth_database("postgres"),
        archive=archive,
        secrets={each.name: each.plain() for each in logins},
    )
