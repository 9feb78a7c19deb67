"""CLOUD-3.1: S3 for models and artifacts, by MinIO or SeaweedFS."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core.v1 import Namespace
from pulumi_kubernetes.helm.v3 import Release

from cluster.render import addresses, credentials, store_users
from cluster.render.values import minio, seaweedfs
from cluster.services import inside
from cluster.services.logins import REGION
from cluster.settings.model import Secrets, Settings
from components import kube
from components.base import TaskComponent


@dataclass(frozen=True)
class ObjectStoreArgs:
    """``storage_class`` for its volume, ``service_monitors``: whether the CRDs are there, ``gateway`` for the
    console, ``keeper`` for the data.
    """

    settings: Settings
    storage_class: pulumi.Input[str]
    service_monitors: pulumi.Input[bool]
    gateway: kube.Gateway
    keeper: kube.Keeper


@dataclass(frozen=True)
class S3Access:
    """How to use the store from inside the cluster: ``host`` with port, two buckets, a user who may use these only."""

    host: pulumi.Output[str]
    artifacts: str
    models: str
    region: str
    user: str
    password: pulumi.Output[str]

    @property
    def url(self) -> pulumi.Output[str]:
        """The endpoint as S3 clients take it."""
        return pulumi.Output.concat("http://", self.host)


class ObjectStore(TaskComponent):
    """Namespace, the data's claim, secrets, release and (for MinIO) the console's route.

    ``access`` is known once the store answers.
    """

    access: S3Access

    def __init__(self, name: str, args: ObjectStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        wish = args.settings.object_store
        super().__init__("cloud:mlops:ObjectStore", name, "CLOUD-3.1", {"engine": wish.engine}, opts)
        secrets = kube.sealed(args.settings)
        # SeaweedFS starts as root
        level: kube.PodSecurity = "restricted" if wish.engine == "minio" else "baseline"
        space = kube.namespace(self, args.settings, "object-store", level, keeper=args.keeper)
        make = self._minio if wish.engine == "minio" else self._seaweedfs
        buckets, every = credentials.buckets(args.settings), store_users.buckets(args.settings)
        store, place = make(args, secrets, space, every), inside.object_store(args.settings)
        api = (kube.known_after(place.service, store), place.port)
        host = addresses.host("s3", args.settings)
        # Envoy ends a request after 15 s where nothing else is said: too soon for a part of a model over a slow line
        kube.console_route(self, "object-store-s3", kube.name_of(space), host, api, args.gateway, slow=True)
        self.access = S3Access(
            host=kube.known_after(place.host, store),
            artifacts=buckets[0],
            models=buckets[1],
            region=REGION,
            user=credentials.STORE_USER,
            password=pulumi.Output.secret(secrets.object_store_mlflow_password.get_secret_value()),
        )
        self.register_outputs({"endpoint": self.access.url, "buckets": list(every)})

    def _claim(self, args: ObjectStoreArgs, where: pulumi.Output[str], name: str) -> pulumi.Output[str]:
        """Return the name of the data's claim; each engine has its own, since neither can read the other's files."""
        size = args.settings.object_store.size
        return kube.known_after(name, kube.volume_claim(self, name, where, size, args.storage_class, args.keeper))

    def _minio(self, args: ObjectStoreArgs, secrets: Secrets, space: Namespace, buckets: tuple[str, ...]) -> Release:
        where = kube.name_of(space)
        root_login = credentials.minio_root(secrets)
        root = kube.secret_of(self, where, root_login)
        users = [
            (user, kube.known_after(user.login.name, kube.secret_of(self, where, user.login)))
            for user in store_users.users(args.settings, secrets)
        ]
        values = minio.values(
            args.settings,
            root_secret=kube.known_after(root_login.name, root),
            users=users,
            buckets=buckets,
            claim=self._claim(args, where, minio.CLAIM),
            service_monitors=args.service_monitors,
        )
        store = kube.release(self, "minio", "minio", where, values, args.settings)
        console = (kube.known_after("minio-console", store), minio.CONSOLE_PORT)
        host = addresses.host("minio", args.settings)
        kube.console_route(self, "minio-console", where, host, console, args.gateway)
        return store

    def _seaweedfs(
        self, args: ObjectStoreArgs, secrets: Secrets, space: Namespace, buckets: tuple[str, ...]
    ) -> Release:
        where = kube.name_of(space)
        config = seaweedfs.identities(
            (credentials.STORE_ROOT, secrets.object_store_root_password.get_secret_value()),
            store_users.users(args.settings, secrets),
        )
        identities = kube.secret(self, "seaweedfs-identities", where, {seaweedfs.CONFIG_KEY: config})
        values = seaweedfs.values(
            args.settings,
            config_secret=kube.known_after("seaweedfs-identities", identities),
            buckets=buckets,
            claim=self._claim(args, where, seaweedfs.CLAIM),
            service_monitors=args.service_monitors,
        )
        return kube.release(self, "seaweedfs", "seaweedfs", where, values, args.settings)
