"""CLOUD-3.2: PostgreSQL by CloudNativePG, for MLflow's runs and users."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.helm.v3 import Release

from cluster.render import credentials, store_users
from cluster.render.values import cloudnative_pg, plugin_barman_cloud, postgres_backup, postgres_cluster
from cluster.settings.model import Settings
from components import kube
from components.base import TaskComponent

API = "postgresql.cnpg.io/v1"
CLUSTER = "postgres"


@dataclass(frozen=True)
class DatabaseArgs:
    """``storage_class`` for its volumes, ``service_monitors``: whether the Prometheus operator's CRDs are there.

    ``certificates``: the name of the cluster's issuer, known once cert-manager issues. ``store_url``: where the object
    store will answer; it need not do so yet.

    ``keeper`` for the PostgreSQL cluster, which owns its volumes: whoever deletes it deletes them.
    """

    settings: Settings
    storage_class: pulumi.Input[str]
    service_monitors: pulumi.Input[bool]
    keeper: kube.Keeper
    certificates: pulumi.Input[str]
    store_url: str


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
        operator_space = kube.namespace(self, settings, "cnpg-system", "restricted")
        values = cloudnative_pg.values(settings, service_monitors=args.service_monitors)
        operators_place = kube.name_of(operator_space)
        operator = kube.release(self, "cloudnative-pg", "cloudnative-pg", operators_place, values, settings)
        space = kube.namespace(self, settings, "database", "restricted", keeper=args.keeper)
        where = kube.name_of(space)
        login = credentials.database_owner(kube.sealed(settings))
        owner = kube.secret_of(self, where, login)
        archive = self._archive(args, operator, operators_place, where) if store_users.archives(settings) else None
        cluster = kube.custom(
            self,
            CLUSTER,
            (API, "Cluster"),
            {"name": CLUSTER, "namespace": where, "annotations": _until_ready("condition=Ready")},
            postgres_cluster.cluster(
                settings,
                owner_secret=kube.known_after(login.name, owner),
                storage_class=args.storage_class,
                archive=archive,
            ),
            # no value of the release goes in here, but the operator's CRDs and its webhook must answer first
            depends_on=[operator],
            keeper=args.keeper,
        )
        cluster_name = kube.known_after(CLUSTER, cluster)
        second = kube.custom(
            self,
            "postgres-mlflow-auth",
            (API, "Database"),
            {
                "name": "mlflow-auth",
                "namespace": where,
                "annotations": _until_ready("jsonpath={.status.applied}=true"),
            },
            postgres_cluster.auth_database(cluster_name),
        )
        kube.custom(
            self,
            "postgres-metrics",
            ("monitoring.coreos.com/v1", "PodMonitor"),
            {"name": CLUSTER, "namespace": where},
            {
                "selector": {"matchLabels": {"cnpg.io/cluster": cluster_name}},
                "podMetricsEndpoints": [{"port": "metrics"}],
            },
        )
        self.access = DatabaseAccess(
            host=kube.known_after(f"{CLUSTER}-rw.database.svc.cluster.local", cluster),
            database=kube.known_after(credentials.DATABASE, cluster),
            auth_database=kube.known_after(credentials.AUTH_DATABASE, second),
            user=credentials.DATABASE_OWNER,
            password=pulumi.Output.secret(kube.sealed(settings).postgres_password.get_secret_value()),
        )
        self.register_outputs({"host": self.access.host, "database": self.access.database})

    def _archive(
        self, args: DatabaseArgs, operator: Release, operators_place: pulumi.Output[str], where: pulumi.Output[str]
    ) -> pulumi.Output[str]:
        """Return the name of the ObjectStore that PostgreSQL archives into.

        The object store is made beside this, not before it: what cannot be archived yet waits in ``pg_wal``.
        """
        settings = args.settings
        assert settings.backup is not None
        plugin = kube.release(
            self,
            "plugin-barman-cloud",
            "plugin-barman-cloud",
            # it waits for cert-manager, which signs for it
            pulumi.Output.all(operators_place, args.certificates).apply(lambda known: str(known[0])),
            plugin_barman_cloud.values(settings),
            settings,
            # the chart's rights name kinds of the operator's
            depends_on=[operator],
        )
        login = credentials.postgres_archive(kube.sealed(settings))
        secret = kube.known_after(login.name, kube.secret_of(self, where, login))
        store = kube.custom(
            self,
            "postgres-archive",
            ("barmancloud.cnpg.io/v1", "ObjectStore"),
            {"name": postgres_backup.STORE, "namespace": where},
            postgres_backup.object_store(settings.backup, endpoint=args.store_url, secret=secret),
            # no value of the release goes in here, but its CRD must be there
            depends_on=[plugin],
        )
        return kube.known_after(postgres_backup.STORE, store)


def _until_ready(condition: str) -> dict[str, str]:
    """Annotations that make the provider wait: a custom resource counts as made when the API server has it."""
    return {"pulumi.com/waitFor": condition, "pulumi.com/timeoutSeconds": "900"}
