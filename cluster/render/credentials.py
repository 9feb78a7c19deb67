"""Who logs in where: users, the Secrets that hold their passwords, the keys in them, and KServe's S3 annotations.

The components make these Secrets, and local services (lab/services) and Compose are configured by the same ones: a key
that a chart does not know, or a user without its bucket, fails there as it would in the cluster.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import SecretStr

from cluster.render.values import Leaf
from cluster.services.logins import REGION
from cluster.settings.model import Secrets, Settings

STORE_ROOT = "root"
STORE_USER = "mlflow"
"""The limited user: it may use the two buckets and nothing else."""

BACKUP_USER = "backup"
"""Who makes backups: it reads every bucket, and writes to scratch buckets only."""
POSTGRES_USER = "postgres-backups"
"""The user by which PostgreSQL archives; it may use its bucket and nothing else."""
POSTGRES_BACKUPS = "postgres-backups"

ARTIFACTS = "mlflow"
MODELS = "models"
"""Bucket of served models where no transfer names another."""

USER_KEY = "password"
"""Key of the limited user's password, as the chart of MinIO is told."""

DATABASE = "mlflow"
AUTH_DATABASE = "mlflow_auth"
DATABASE_OWNER = "mlflow"

MLFLOW_ADMIN = "admin"

MLFLOW_LOGIN = "mlflow-login"
"""Secret (username, password) that a namespace needs before its models may have ``models:/`` URIs."""

ACCESS_KEY = "AWS_ACCESS_KEY_ID"
SECRET_KEY = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 the key's name, not a password
REGION_KEY = "AWS_DEFAULT_REGION"


@dataclass(frozen=True)
class SecretData:
    """A Kubernetes Secret: name, data and annotations; values may be known only once another resource is there."""

    name: str
    data: Mapping[str, Leaf]
    annotations: Mapping[str, Leaf] = field(default_factory=dict)

    def plain(self) -> dict[str, str]:
        """Return the data as a pod sees it; only for values that are known."""
        return {
            key: value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            for key, value in self.data.items()
        }


def buckets(settings: Settings) -> tuple[str, str]:
    """Return the object store's buckets: of MLflow's artifacts, of served models."""
    return ARTIFACTS, settings.transfer.bucket if settings.transfer else MODELS


def minio_root(secrets: Secrets) -> SecretData:
    """Return MinIO's root user, under the keys that its chart reads."""
    return SecretData("minio-root", {"rootUser": STORE_ROOT, "rootPassword": secrets.object_store_root_password})


def minio_user(secrets: Secrets) -> SecretData:
    """Return the limited user's password for MinIO's chart."""
    return SecretData("minio-mlflow", {USER_KEY: secrets.object_store_mlflow_password})


def minio_backup(secrets: Secrets) -> SecretData:
    """Return the password of the user that makes backups, for MinIO's chart."""
    return SecretData("minio-backup", {USER_KEY: backup_reader(secrets.backup_password)})


def backup_reader(password: SecretStr) -> SecretStr:
    """Return the same password, made of ``secrets.backup_password``."""
    return derived(password, f"object-store/{BACKUP_USER}")


def minio_postgres(secrets: Secrets) -> SecretData:
    """Return the password of the user by which PostgreSQL archives, for MinIO's chart."""
    return SecretData("minio-postgres", {USER_KEY: derived(secrets.backup_password, f"object-store/{POSTGRES_USER}")})


def postgres_archive(secrets: Secrets) -> SecretData:
    """Return the same login as CloudNativePG's plugin reads it."""
    password = derived(secrets.backup_password, f"object-store/{POSTGRES_USER}")
    return SecretData("postgres-archive", {ACCESS_KEY: POSTGRES_USER, SECRET_KEY: password, REGION_KEY: REGION})


def derived(secret: SecretStr, purpose: str) -> SecretStr:
    """Return a password made of another one: whoever has it learns nothing of that one.

    The logins by which backups are made are of this kind: one password to be written down and kept instead of three.
    """
    made = hmac.digest(secret.get_secret_value().encode(), f"inference-cloud {purpose}".encode(), "sha256")
    return SecretStr(base64.urlsafe_b64encode(made).decode().rstrip("="))


def database_owner(secrets: Secrets) -> SecretData:
    """Return the owner of both databases, under the keys that CloudNativePG reads."""
    return SecretData("postgres-owner", {"username": DATABASE_OWNER, "password": secrets.postgres_password})


def mlflow_database(user: Leaf, password: Leaf) -> SecretData:
    """Return MLflow's login to PostgreSQL."""
    return SecretData("mlflow-database", {"username": user, "password": password})


def mlflow_admin(password: Leaf, name: str = "mlflow-admin") -> SecretData:
    """Return MLflow's first user; ``name`` is another where a namespace needs that login under another name."""
    return SecretData(name, {"username": MLFLOW_ADMIN, "password": password})


def s3(name: str, user: Leaf, password: Leaf) -> SecretData:
    """Return an S3 login under the names that AWS' own clients, rclone, MLflow and KServe read."""
    return SecretData(name, {ACCESS_KEY: user, SECRET_KEY: password})


def kserve_s3(name: str, user: Leaf, password: Leaf, host: Leaf) -> SecretData:
    """Return an S3 login for KServe, which reads ``host`` (with port) from the Secret, not from the ServiceAccount."""
    annotations = {
        "serving.kserve.io/s3-endpoint": host,
        "serving.kserve.io/s3-usehttps": "0",
        "serving.kserve.io/s3-region": REGION,
        "serving.kserve.io/s3-verifyssl": "0",
    }
    return SecretData(name, s3(name, user, password).data, annotations)


def conninfo(host: str, port: int, password: str, database: str = DATABASE, user: str = DATABASE_OWNER) -> str:
    """Return a login to a database, the owner's unless another is named, as libpq takes it."""
    from psycopg.conninfo import make_conninfo

    made: str = make_conninfo(host=host, port=port, dbname=database, user=user, password=password)
    return made
