"""Release seaweedfs: S3 from one pod with all of SeaweedFS in it, for who wants a store that is kept up.

Keys from the chart's values.yaml. By default its data is an emptyDir and S3 asks nobody for a password.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from cluster.render import credentials
from cluster.render.container_images import image
from cluster.render.store_users import StoreUser
from cluster.render.values import Leaf, Values, resources
from cluster.settings.model import Settings

S3_PORT = 8333
METRICS_PORT = 9324
CLAIM = "seaweedfs-data"
"""Name of the PersistentVolumeClaim that the data is in."""
CONFIG_KEY = "seaweedfs_s3_config"
"""Key of the Secret under which the chart expects the identities."""


def values(
    settings: Settings, *, config_secret: Leaf, buckets: Sequence[str], claim: Leaf, service_monitors: Leaf
) -> Values:
    """Return the values; ``config_secret`` holds ``identities`` under CONFIG_KEY, ``claim`` is the data's."""
    mine = image("seaweedfs", settings.registry)
    wish = settings.object_store
    off: Values = {part: {"enabled": False} for part in ("master", "volume", "filer")}
    return off | {
        "global": {
            "imageRegistry": mine.registry,
            "seaweedfs": {"image": {"name": mine.repository}, "monitoring": {"enabled": service_monitors}},
        },
        "image": {"tag": mine.tag},
        "allInOne": {
            "enabled": True,
            "data": {"type": "existingClaim", "claimName": claim},
            "resources": resources("250m", f"{wish.memory}Mi"),
            "s3": {
                "enabled": True,
                "port": S3_PORT,
                "enableAuth": True,
                "existingConfigSecret": config_secret,
                "createBuckets": [{"name": bucket, "anonymousRead": False} for bucket in buckets],
                "createBucketsHook": {"resources": resources("50m", "128Mi")},
            },
        },
    }


def identities(root: tuple[str, str], users: Sequence[StoreUser]) -> str:
    """Return the JSON of who may do what: ``root`` (name, password) everything, each user what its rights say."""
    people = [(*root, ["Admin", "Read", "Write", "List", "Tagging"])]
    people += [(user.name, user.login.plain()[credentials.USER_KEY], _rights(user)) for user in users]
    return json.dumps(
        {
            "identities": [
                {"name": name, "credentials": [{"accessKey": name, "secretKey": password}], "actions": actions}
                for name, password, actions in people
            ]
        }
    )


def _rights(user: StoreUser) -> list[str]:
    """Return a user's actions; one that ends with a star holds for every bucket with that beginning."""
    return [
        *(f"{action}:{bucket}" for bucket in user.writes for action in ("Read", "Write", "List", "Tagging")),
        *(f"{action}:{bucket}" for bucket in user.reads for action in ("Read", "List")),
        *([f"Admin:{user.scratch}*"] if user.scratch else []),
    ]
