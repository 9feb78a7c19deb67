"""MinIO on loopback, and in it what its chart's jobs make after an install: policies, users, buckets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from minio import MinioAdmin
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException

from cluster.health import ask
from cluster.health.judge import judge
from cluster.render import chart_containers
from cluster.render.local_services import Configuration, Hosts
from cluster.services.logins import S3Login
from lab.services.processes import Process

NAME = "minio"


def process(program: Path, folder: Path, wanted: Configuration, hosts: Hosts) -> Process:
    """Return MinIO's server over ``folder``/data."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    launch = chart_containers.minio_launch(wanted.minio, wanted.secrets, hosts.store, str(folder / "data"))
    return Process(
        name=NAME,
        command=(str(program), *launch.arguments),
        environment={"PATH": os.defpath, "HOME": str(folder), **launch.environment},
        folder=folder,
        ready=lambda: judge(NAME, "object-store", ask.store(hosts.store_url)).reason or None,
    )


def apply(wanted: Configuration, root: S3Login, host: str) -> None:
    """Make policies, users and buckets; what is there already is made as it should be. ``host`` carries its port."""
    admin = MinioAdmin(
        endpoint=host,
        credentials=StaticProvider(root.access_key, root.secret_key.get_secret_value()),
        secure=False,
    )
    for name, policy in chart_containers.minio_policies(wanted.minio).items():
        admin.policy_add(name, policy=policy)
    for user, password, policy_name in chart_containers.minio_users(wanted.minio, wanted.secrets):
        admin.user_add(user, password)
        _attach(admin, policy_name, user)
    client = root.client()
    for bucket in wanted.minio["buckets"]:
        _make_bucket(client, bucket)


def _attach(admin: MinioAdmin, policy: str, user: str) -> None:
    try:
        admin.attach_policy([policy], user=user)
    except MinioAdminException as error:
        if "PolicyChangeAlreadyApplied" not in str(error):
            raise


def _make_bucket(client: Any, bucket: Mapping[str, Any]) -> None:
    # policy none, which is all that we ever write, is no policy: nobody without a login
    try:
        client.create_bucket(Bucket=bucket["name"])
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
            raise
