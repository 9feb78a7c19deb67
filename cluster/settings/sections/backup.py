"""Backups: where copies go, when, which, and how long they are kept."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from cluster.settings.sections.base import Section, Whole
from cluster.types import Name

Part = Literal["etcd", "postgres", "state", "leases", "buckets"]
"""What is backed up: Kubernetes' own store, the databases, Pulumi's state, who holds which GPU, the object store."""

PARTS: tuple[Part, ...] = get_args(Part)

Cron = Annotated[str, Field(description="cron line")]


class Keep(Section):
    """How many of a part's backups stay: the last ones, and the newest of each of the last days, weeks and months."""

    last: Annotated[Whole, Field(ge=1, le=1000, description="the newest ones")] = 3
    daily: Annotated[Whole, Field(ge=1, le=3650, description="the newest of a day, for so many days")] = 7
    weekly: Annotated[Whole, Field(ge=0, le=520, description="of a week")] = 5
    monthly: Annotated[Whole, Field(ge=0, le=120, description="of a month")] = 12


class PostgresBackup(Section):
    """PostgreSQL's own backups in the cluster: write-ahead log and base backups into a bucket of the object store."""

    wal: Annotated[bool, Field(description="archive the write-ahead log: back to any moment of the last days")] = True
    archive: Annotated[
        Name, Field(description="folder of the bucket; another name after the database was made anew: one history each")
    ] = "postgres"
    schedule: Cron = "10 1 * * 0"
    keep_days: Annotated[Whole, Field(ge=1, le=3650, description="how far back it reaches")] = 30


class Backup(Section):
    """Copies of what a stack holds in a second place, encrypted, by the clock (``cloudctl backup``)."""

    place: Annotated[
        str,
        Field(
            pattern=r"^(/.+|s3:https?://[^/]+/.+)$",
            description="folder, or s3:https://host/bucket/path, outside what is backed up; a restic repository",
        ),
    ]
    schedule: Cron = "30 2 * * *"
    parts: Annotated[tuple[Part, ...], Field(min_length=1, description="what is copied")] = PARTS
    keep: Annotated[Keep, Field(description="for how long")] = Keep()
    postgres: Annotated[PostgresBackup, Field(description="its own backups, inside the cluster")] = PostgresBackup()
    access_key: Annotated[
        str | None,
        Field(description="S3 place: who logs in there; its password is secrets.backup_place_secret_key"),
    ] = None
    ca_file: Annotated[
        str | None, Field(pattern=r"^/.+", description="S3 place: certificates of who signed its own")
    ] = None
