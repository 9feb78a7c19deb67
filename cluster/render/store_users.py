"""The object store's buckets and users: who may do what in which. One table for MinIO, SeaweedFS and local services."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.render import credentials
from cluster.render.credentials import SecretData
from cluster.settings.model import Secrets, Settings

SCRATCH = "rehearsal-"
"""What the buckets begin with that a rehearsal of a restore makes, and removes."""


@dataclass(frozen=True)
class StoreUser:
    """A user and its rights.

    ``policy``: the name of its rights in MinIO. ``login``: its password, under ``credentials.USER_KEY``. It reads and
    writes the buckets ``writes``, reads ``reads``, and does what it likes in those whose names begin with ``scratch``.
    """

    name: str
    policy: str
    login: SecretData
    writes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    scratch: str = ""


def buckets(settings: Settings) -> tuple[str, ...]:
    """Return every bucket that is made: artifacts, models, and PostgreSQL's backups where there are any."""
    own = credentials.buckets(settings)
    return (*own, credentials.POSTGRES_BACKUPS) if archives(settings) else own


def users(settings: Settings, secrets: Secrets) -> tuple[StoreUser, ...]:
    """Return the users beside root."""
    own = credentials.buckets(settings)
    found = [StoreUser(credentials.STORE_USER, "mlops", credentials.minio_user(secrets), writes=own)]
    if settings.backup:
        reader = credentials.minio_backup(secrets)
        found.append(StoreUser(credentials.BACKUP_USER, "backup", reader, reads=buckets(settings), scratch=SCRATCH))
    if archives(settings):
        archiver, where = credentials.minio_postgres(secrets), (credentials.POSTGRES_BACKUPS,)
        found.append(StoreUser(credentials.POSTGRES_USER, "postgres-backups", archiver, writes=where))
    return tuple(found)


def archives(settings: Settings) -> bool:
    """Whether PostgreSQL sends its write-ahead log and its base backups to the object store."""
    return settings.backup is not None and settings.backup.postgres.wal
