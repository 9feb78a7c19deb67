"""PostgreSQL's backups inside the cluster, as custom resources: where they go, and when a base backup is made.

Keys from the API references of CloudNativePG and of its plugin Barman Cloud. The write-ahead log goes there all the
time: CloudNativePG sets ``archive_timeout`` to 5 minutes.
"""

from __future__ import annotations

from datetime import datetime

from cluster.render import credentials
from cluster.render.container_images import image
from cluster.render.values import Leaf, Values, plugin_barman_cloud, resources
from cluster.settings.model import Backup, Settings
from cluster.settings.storage import classes
from cluster.timers.calendar import go_cron

STORE = "archive"
"""Name of the ObjectStore."""
RECOVERED = "postgres-recovered"
"""Name of a cluster that is made from base backup and write-ahead log, beside the living one."""


def object_store(backup: Backup, *, endpoint: Leaf, secret: Leaf) -> Values:
    """Return the spec of the ObjectStore; ``secret`` holds a login as ``credentials.postgres_archive`` writes it."""

    def key(name: str) -> Values:
        return {"name": secret, "key": name}

    return {
        "retentionPolicy": f"{backup.postgres.keep_days}d",
        "configuration": {
            "destinationPath": f"s3://{credentials.POSTGRES_BACKUPS}/",
            "endpointURL": endpoint,
            "s3Credentials": {
                "accessKeyId": key(credentials.ACCESS_KEY),
                "secretAccessKey": key(credentials.SECRET_KEY),
                "region": key(credentials.REGION_KEY),
            },
            "wal": {"compression": "gzip"},
            # a base backup of a database that hardly anybody writes to would wait for the next checkpoint
            "data": {"compression": "gzip", "immediateCheckpoint": True},
        },
        "instanceSidecarConfiguration": {"resources": resources("50m", "256Mi")},
    }


def scheduled(backup: Backup, cluster_name: Leaf) -> Values:
    """Return the spec of the ScheduledBackup. The operator's cron lines begin with the second."""
    return {
        "schedule": go_cron(backup.postgres.schedule),
        # the first one now: until there is one the log is of no use, and the schedule may be a week away
        "immediate": True,
        "cluster": {"name": cluster_name},
        "method": "plugin",
        "pluginConfiguration": {"name": plugin_barman_cloud.NAME},
        "backupOwnerReference": "self",
    }


def recovered(settings: Settings, moment: datetime | None, archive: str) -> Values:
    """Return a manifest, for a person to apply: the databases as they were at a moment, the last archived where none is
    named. It archives nothing itself: it would write into the history of the living one. ``archive``: the folder of the
    bucket that it is made from, the living one's or one that a restore has put beside it.
    """
    source = {"name": plugin_barman_cloud.NAME, "parameters": {"barmanObjectName": STORE, "serverName": archive}}
    target = {"recoveryTarget": {"targetTime": moment.isoformat(timespec="seconds")}} if moment else {}
    return {
        "apiVersion": "postgresql.cnpg.io/v1",
        "kind": "Cluster",
        "metadata": {"name": RECOVERED, "namespace": "database"},
        "spec": {
            "instances": 1,
            "imageName": str(image("postgresql", settings.registry)),
            "storage": {"size": f"{settings.database.size}Mi", "storageClass": classes(settings)["database"]},
            "bootstrap": {"recovery": {"source": "living", **target}},
            "externalClusters": [{"name": "living", "plugin": source}],
        },
    }


def archiver(backup: Backup, store: Leaf) -> Values:
    """Return the entry of a Cluster's ``plugins`` that archives into the ObjectStore of that name.

    A folder that another cluster has archived into is refused by Barman, so the settings name it.
    """
    where = {"barmanObjectName": store, "serverName": backup.postgres.archive}
    return {"name": plugin_barman_cloud.NAME, "isWALArchiver": True, "parameters": where}
