"""CLOUD-3.2: PostgreSQL by CloudNativePG, for MLflow's runs and users."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core.v1 import Secret

from cluster.render.container_images import image
from cluster.render.values import cloudnative_pg, resources
from cluster.settings.model import Settings
from components import kube
from components.base import TaskComponent

_API = "postgresql.cnpg.io/v1"
_CLUSTER = "postgres"
_OWNER = "mlflow"
_DATABASE = "mlflow"
_AUTH_DATABASE = "mlflow_auth"


@dataclass(frozen=True)
class DatabaseArgs:
    """``storage_class`` for its volumes, ``service_monitors``: whether the Prometheus operator's CRDs are there."""

    settings: Settings
    storage_class: pulumi.Input[str]
    service_monitors: pulumi.Input[bool]


@dataclass(frozen=True)
class DatabaseAccess:
    """How to log in from inside the cluster; ``auth_database`` is for MLflow's own users and rights."""

    host: pulumi.Output[str]
    database: pulumi.Output[str]
    auth_database: pulumi.Output[str]
    user: str
    password: pulumi.Output[str]


class Database(TaskComponent):
    """The operator in its namespace; in another the cluster, its owner's password, a second database, a PodMonitor.

    ``access`` is known once the cluster reports Ready.
    """

    access: DatabaseAccess

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        settings = args.settings
        super().__init__("cloud:mlops:Database", name, "CLOUD-3.2", {"instances": settings.database.instances}, opts)
        operator_space = kube.namespace(self, "cnpg-system", "restricted")
        operator = kube.release(
            self,
            "cloudnative-pg",
            "cloudnative-pg",
            kube.name_of(operator_space),
            cloudnative_pg.values(settings, service_monitors=args.service_monitors),
            settings,
        )
        space = kube.namespace(self, "database", "restricted")
        where = kube.name_of(space)
        password = kube.sealed(settings).postgres_password
        owner = kube.secret(self, "postgres-owner", where, {"username": _OWNER, "password": password})
        cluster = kube.custom(
            self,
            _CLUSTER,
            (_API, "Cluster"),
            {"name": _CLUSTER, "namespace": where, "annotations": _until_ready("condition=Ready")},
            _cluster_spec(settings, owner, args.storage_class),
            # no value of the release goes in here, but the operator's CRDs and its webhook must answer first
            depends_on=[operator],
        )
        cluster_name = kube.known_after(_CLUSTER, cluster)
        second = kube.custom(
            self,
            "postgres-mlflow-auth",
            (_API, "Database"),
            {
                "name": "mlflow-auth",
                "namespace": where,
                "annotations": _until_ready("jsonpath={.status.applied}=true"),
            },
            {"name": _AUTH_DATABASE, "owner": _OWNER, "cluster": {"name": cluster_name}},
        )
        kube.custom(
            self,
            "postgres-metrics",
            ("monitoring.coreos.com/v1", "PodMonitor"),
            {"name": _CLUSTER, "namespace": where},
            {
                "selector": {"matchLabels": {"cnpg.io/cluster": cluster_name}},
                "podMetricsEndpoints": [{"port": "metrics"}],
            },
        )
        self.access = DatabaseAccess(
            host=kube.known_after(f"{_CLUSTER}-rw.database.svc.cluster.local", cluster),
            database=kube.known_after(_DATABASE, cluster),
            auth_database=kube.known_after(_AUTH_DATABASE, second),
            user=_OWNER,
            password=pulumi.Output.secret(password.get_secret_value()),
        )
        self.register_outputs({"host": self.access.host, "database": self.access.database})


def _until_ready(condition: str) -> dict[str, str]:
    """Annotations that make the provider wait: a custom resource counts as made when the API server has it."""
    return {"pulumi.com/waitFor": condition, "pulumi.com/timeoutSeconds": "900"}


def _cluster_spec(settings: Settings, owner: Secret, storage_class: pulumi.Input[str]) -> dict[str, object]:
    """Keys from the CloudNativePG API reference."""
    return {
        "instances": settings.database.instances,
        "imageName": str(image("postgresql", settings.registry)),
        "storage": {"size": f"{settings.database.size}Mi", "storageClass": storage_class},
        "bootstrap": {
            "initdb": {
                "database": _DATABASE,
                "owner": _OWNER,
                "secret": {"name": kube.known_after("postgres-owner", owner)},
            }
        },
        # one instance can only be updated by a restart, several by handing over
        "primaryUpdateMethod": "switchover" if settings.database.instances > 1 else "restart",
        "resources": resources("500m", "1Gi"),
    }
