"""CLOUD-3.3: MLflow, the record of runs and of model versions, over the object store and PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from cluster.render import addresses, credentials
from cluster.render.values import mlflow
from cluster.settings.model import Settings
from components import kube
from components.base import TaskComponent
from components.database import DatabaseAccess
from components.object_store import S3Access


@dataclass(frozen=True)
class MLflowArgs:
    """What the object store and the database gave out; ``gateway`` for the way in from outside."""

    settings: Settings
    s3: S3Access
    database: DatabaseAccess
    gateway: kube.Gateway


class MLflow(TaskComponent):
    """Namespace, three secrets, release, monitor and route.

    ``uri``: the tracking server from inside the cluster. ``password``: of its user ``admin``, a secret.
    """

    uri: pulumi.Output[str]
    password: pulumi.Output[str]

    def __init__(self, name: str, args: MLflowArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        settings = args.settings
        outside = addresses.host("mlflow", settings)
        super().__init__("cloud:mlops:MLflow", name, "CLOUD-3.3", {"host": outside}, opts)
        where = kube.name_of(kube.namespace(self, settings, "mlflow", "restricted"))
        admin_password = kube.sealed(settings).mlflow_admin_password
        server = kube.release(
            self,
            "mlflow",
            "mlflow",
            where,
            mlflow.values(
                settings,
                self._backends(args, where, pulumi.Output.secret(admin_password.get_secret_value())),
                hosts=mlflow.allowed_hosts(outside, mlflow.SERVICE, "mlflow.mlflow.svc"),
            ),
            settings,
        )
        self._monitor(where, kube.known_after("mlflow", server))
        service = (kube.known_after("mlflow", server), mlflow.SERVICE_PORT)
        # artifacts go through the server: an upload takes as long as it takes
        kube.console_route(self, "mlflow-console", where, outside, service, args.gateway, slow=True)
        self.uri = kube.known_after(f"http://{mlflow.SERVICE}", server)
        self.password = pulumi.Output.secret(admin_password.get_secret_value())
        self.register_outputs({"uri": self.uri, "url": addresses.url("mlflow", settings)})

    def _backends(
        self, args: MLflowArgs, where: pulumi.Output[str], admin_password: pulumi.Output[str]
    ) -> mlflow.Backends:
        logins = (
            credentials.mlflow_database(args.database.user, args.database.password),
            credentials.s3("mlflow-s3", args.s3.user, args.s3.password),
            credentials.mlflow_admin(admin_password),
        )
        database, s3, admin = (kube.known_after(each.name, kube.secret_of(self, where, each)) for each in logins)
        return mlflow.Backends(
            database_host=args.database.host,
            database=args.database.database,
            auth_database=args.database.auth_database,
            database_secret=database,
            s3_endpoint=args.s3.url,
            s3_bucket=args.s3.artifacts,
            s3_secret=s3,
            admin_secret=admin,
        )

    def _monitor(self, where: pulumi.Output[str], release: pulumi.Output[str]) -> None:
        kube.custom(
            self,
            "mlflow-metrics",
            ("monitoring.coreos.com/v1", "ServiceMonitor"),
            {"name": "mlflow", "namespace": where},
            {
                "selector": {"matchLabels": {"app.kubernetes.io/instance": release}},
                "endpoints": [mlflow.metrics_endpoint("mlflow-admin")],
            },
        )
