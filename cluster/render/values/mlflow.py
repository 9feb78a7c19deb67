"""Release mlflow: tracking server and model registry over PostgreSQL and S3.

Keys from the chart's values.yaml (community-charts). Artifacts go through the server, so that clients need no S3
password.
"""

from __future__ import annotations

from dataclasses import dataclass

from cluster.render.container_images import image
from cluster.render.values import Leaf, Values, resources
from cluster.services.logins import REGION
from cluster.settings.model import Settings

SERVICE = "mlflow.mlflow.svc.cluster.local"
"""The server's name inside the cluster; whoever comes another way has to ask for it by one that it knows."""

SERVICE_PORT = 80

DRIVER = "psycopg2"
"""The image brings psycopg2. SQLAlchemy is told, because from its release 2.1 on it takes another one by itself."""


@dataclass(frozen=True)
class Backends:
    """Where MLflow keeps things; each secret is the name of one in MLflow's namespace.

    ``database_secret`` and ``admin_secret`` hold ``username`` and ``password``; ``s3_secret`` holds
    ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY``.
    """

    database_host: Leaf
    database: Leaf
    auth_database: Leaf
    database_secret: Leaf
    s3_endpoint: Leaf
    s3_bucket: Leaf
    s3_secret: Leaf
    admin_secret: Leaf


def values(settings: Settings, backends: Backends, *, hosts: list[str]) -> Values:
    """Return the values; ``hosts`` are the names under which the server is asked, ports included where unusual."""
    server, busybox = image("mlflow", settings.registry), image("busybox", settings.registry)
    helper = {"repository": busybox.path, "tag": busybox.tag}
    return {
        "image": {"repository": server.path, "tag": server.tag},
        "initImages": {
            "dbchecker": helper,
            "iniFileInitializer": helper,
            "mlflowDbMigration": {"repository": server.path, "tag": server.tag},
        },
        "backendStore": {
            "databaseMigration": True,
            "databaseConnectionCheck": True,
            "postgres": {
                "enabled": True,
                "host": backends.database_host,
                "port": 5432,
                "database": backends.database,
                "driver": DRIVER,
            },
            "existingDatabaseSecret": _user_and_password(backends.database_secret),
        },
        "artifactRoot": {
            "proxiedArtifactStorage": True,
            "s3": {
                "enabled": True,
                "bucket": backends.s3_bucket,
                "existingSecret": {"name": backends.s3_secret},
            },
        },
        "auth": _auth(backends),
        "extraEnvVars": {"MLFLOW_S3_ENDPOINT_URL": backends.s3_endpoint, "AWS_DEFAULT_REGION": REGION},
        # without it the server answers 403 to whoever asks for it by a name that it does not know
        "serverAllowedHosts": hosts,
        # the chart's own monitor cannot log in to a server that asks for a password
        "serviceMonitor": {"enabled": False},
        "extraArgs": {"exposePrometheus": "/tmp/metrics"},  # noqa: S108 the pod's own emptyDir
        "resources": resources("250m", "1Gi", memory_limit="2Gi"),
        "podSecurityContext": {
            "fsGroup": 1001,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def allowed_hosts(*names: str) -> list[str]:
    """Return the patterns of the names under which the server is asked: each with any port, and with none."""
    return [pattern for name in names for pattern in (name, f"{name}:*")]


def metrics_endpoint(login: str) -> Values:
    """Return the endpoint of a ServiceMonitor; ``login`` is a Secret with ``username`` and ``password``.

    Prometheus asks a pod by its address, which is no name that the server answers to; so it asks the service.
    """
    return {
        "port": "http",
        "path": "/metrics",
        "interval": "30s",
        "basicAuth": {key: {"name": login, "key": key} for key in ("username", "password")},
        "relabelings": [{"targetLabel": "__address__", "replacement": f"{SERVICE}:{SERVICE_PORT}"}],
    }


def _auth(backends: Backends) -> Values:
    return {
        "enabled": True,
        "existingAdminSecret": _user_and_password(backends.admin_secret),
        # by default users are kept in a file of the container, and are gone with it
        "postgres": {
            "enabled": True,
            "host": backends.database_host,
            "port": 5432,
            "database": backends.auth_database,
            "driver": DRIVER,
            "existingSecret": _user_and_password(backends.database_secret),
        },
    }


def _user_and_password(secret: Leaf) -> Values:
    return {"name": secret, "usernameKey": "username", "passwordKey": "password"}
