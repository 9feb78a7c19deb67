"""PostgreSQL's cluster and its second database, as CloudNativePG's custom resources.

Keys from the CloudNativePG API reference.
"""

from __future__ import annotations

from cluster.render import credentials
from cluster.render.container_images import image
from cluster.render.values import Leaf, Values, postgres_backup, resources
from cluster.settings.model import Settings


def cluster(
    settings: Settings,
    *,
    owner_secret: Leaf,
    storage_class: Leaf,
    archive: Leaf | None = None,
) -> Values:
    """Return the spec of the Cluster; ``owner_secret`` holds ``username`` and ``password`` of the databases' owner.

    ``archive``: the ObjectStore that the write-ahead log goes to; None where it is not archived.
    """
    return {
        "instances": settings.database.instances,
        "imageName": str(image("postgresql", settings.registry)),
        "storage": {"size": f"{settings.database.size}Mi", "storageClass": storage_class},
        "bootstrap": {
            "initdb": {
                "database": credentials.DATABASE,
                "owner": credentials.DATABASE_OWNER,
                "secret": {"name": owner_secret},
            }
        },
        # one instance can only be updated by a restart, several by handing over
        "primaryUpdateMethod": "switchover" if settings.database.instances > 1 else "restart",
        # the operator's own budget; with one instance it would only keep its node from being drained, for ever
        "enablePDB": settings.database.instances > 1,
        "resources": resources("500m", "1Gi"),
        **(
            {"plugins": [postgres_backup.archiver(settings.backup, archive)]}
            if settings.backup and archive is not None
            else {}
        ),
    }


def auth_database(cluster_name: Leaf) -> Values:
    """Return the spec of the Database that keeps MLflow's own users and rights."""
    return {
        "name": credentials.AUTH_DATABASE,
        "owner": credentials.DATABASE_OWNER,
        "cluster": {"name": cluster_name},
    }
