"""Release minio: S3 on one volume.

Keys from the chart's values.yaml. Its defaults ask for 16Gi in 16 replicas and make an admin
``console``/``console123``; the upstream is archived, so both images are pinned to the last ones that were published.
"""

from __future__ import annotations

from collections.abc import Sequence

from cluster.render.container_images import image
from cluster.render.values import Leaf, Values, resources
from cluster.settings.model import Settings

API_PORT = 9000
CONSOLE_PORT = 9001
POLICY = "mlops"
CLAIM = "minio-data"
"""Name of the PersistentVolumeClaim that the data is in."""

_JOBS = ("makePolicyJob", "makeUserJob", "makeBucketJob")
_POD = {
    "enabled": True,
    **{"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000, "fsGroupChangePolicy": "OnRootMismatch"},
    **{"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
}
_CONTAINER = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    # the server's start script and mc write beside their programs
    "readOnlyRootFilesystem": False,
}
"""The user is the chart's own; with the rest every pod of the release fits the level restricted."""

_OBJECTS = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
_BUCKETS = ("s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads")


def values(
    settings: Settings,
    *,
    root_secret: Leaf,
    user: str,
    user_secret: Leaf,
    user_key: str,
    buckets: Sequence[str],
    claim: Leaf,
    service_monitors: Leaf,
) -> Values:
    """Return the values.

    ``root_secret`` holds ``rootUser`` and ``rootPassword``; ``user`` may use the ``buckets`` and nothing else, with the
    password under ``user_key`` of ``user_secret``. ``claim`` is the PersistentVolumeClaim of the data.
    """
    server, client = image("minio", settings.registry), image("mc", settings.registry)
    wish = settings.object_store
    return {
        "mode": "standalone",
        "image": {"repository": server.path, "tag": server.tag},
        "mcImage": {"repository": client.path, "tag": client.tag},
        "existingSecret": root_secret,
        # one volume that one pod may mount: the old pod has to go first
        "deploymentUpdate": {"type": "Recreate"},
        "persistence": {"enabled": True, "existingClaim": claim},
        "resources": resources("250m", f"{wish.memory}Mi"),
        "buckets": [{"name": bucket, "policy": "none", "purge": False} for bucket in buckets],
        "policies": [_policy(buckets)],
        "users": [
            {"accessKey": user, "existingSecret": user_secret, "existingSecretKey": user_key, "policy": POLICY},
        ],
        "metrics": {"serviceMonitor": {"enabled": service_monitors, "includeNode": True, "public": True}},
        "securityContext": dict(_POD),
        "containerSecurityContext": dict(_CONTAINER),
        "postJob": {"securityContext": dict(_POD)},
        **{job: _job() for job in _JOBS},
    }


def _job() -> Values:
    """A container of the chart's job, which takes a security context only where its own switch is on."""
    return {
        "resources": resources("50m", "128Mi"),
        "securityContext": {"enabled": True},
        "containerSecurityContext": dict(_CONTAINER),
    }


def _policy(buckets: Sequence[str]) -> Values:
    return {
        "name": POLICY,
        "statements": [
            {"resources": [f"arn:aws:s3:::{bucket}/*" for bucket in buckets], "actions": list(_OBJECTS)},
            {"resources": [f"arn:aws:s3:::{bucket}" for bucket in buckets], "actions": list(_BUCKETS)},
        ],
    }
