"""CLOUD-3.3: backups by the clock, once there is something to copy: the object store and the database."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_command import local

from cluster.backup.timer import PASSWORD, PLACE_KEY, TASK
from cluster.render import store_users
from cluster.render.values import postgres_backup
from cluster.services.inside import DATABASE
from cluster.settings.model import Backup, Settings
from cluster.timers.task import digest
from components import kube
from components.base import TaskComponent, module
from components.database import API, CLUSTER, DatabaseAccess
from components.object_store import S3Access


@dataclass(frozen=True)
class BackupsArgs:
    """What is backed up, and how."""

    settings: Settings
    backup: Backup
    s3: S3Access
    database: DatabaseAccess


class Backups(TaskComponent):
    """A systemd timer on the machine that runs Pulumi: ``cloudctl backup run``; and base backups of PostgreSQL.

    Its password lies in a file of mode 0600 beside the stack's other files; taking the component down removes it, and
    leaves the backups. It belongs to the task that waits for store and database, and does not wait for models.
    """

    def __init__(self, name: str, args: BackupsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        wish, secrets = args.backup, kube.sealed(args.settings)
        props = {"place": wish.place, "schedule": wish.schedule, "parts": list(wish.parts)}
        super().__init__("cloud:mlops:Backup", name, "CLOUD-3.3", props, opts)
        told = {"STACK": pulumi.get_stack(), "PLACE": wish.place, "SCHEDULE": wish.schedule}
        key = secrets.backup_place_secret_key
        timer = local.Command(
            "backup-timer",
            create=module("cluster.timers", "up", "backup"),
            delete=module("cluster.timers", "down", "backup"),
            environment={
                **told,
                "UNITS": digest(TASK, told),
                "STORE": args.s3.url,
                "DATABASE": args.database.host,
                PASSWORD: pulumi.Output.secret(secrets.backup_password.get_secret_value()),
                **({PLACE_KEY: pulumi.Output.secret(key.get_secret_value())} if key else {}),
            },
            opts=self.child(),
        )
        if store_users.archives(args.settings):
            self._base_backups(args)
        self.register_outputs({"timer": timer.stdout})

    def _base_backups(self, args: BackupsArgs) -> None:
        """Have CloudNativePG make base backups, the first one now: one that finds no store has failed, and the next may
        be a week away.
        """
        cluster = pulumi.Output.all(args.database.host, args.s3.url).apply(lambda _: CLUSTER)
        kube.custom(
            self,
            "postgres-base-backups",
            (API, "ScheduledBackup"),
            {"name": "base-backups", "namespace": cluster.apply(lambda _: DATABASE.namespace)},
            postgres_backup.scheduled(args.backup, cluster),
        )
