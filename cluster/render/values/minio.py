"""Release minio: S3 on one volume.

Keys from the chart's values.yaml. Its defaults ask for 16Gi in 16 replicas and make an admin
``console``/``console123``; the upstream is archived, so both images are pinned to the last ones that were published.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cluster.render import credentials
from cluster.render.container_images import image
from cluster.render.store_users import StoreUser
from cluster.render.values import Leaf, Values, resources
from cluster.settings.model import Settings

API_PORT = 9000
CONSOLE_PORT = 9001
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
_READ = (("s3:GetObject",), ("s3:ListBucket", "s3:GetBucketLocation"))
_SCRATCH = (_OBJECTS, (*_BUCKETS, "s3:CreateBucket", "s3:DeleteBucket"))


def values(
    settings: Settings,
    *,
    root_secret: Leaf,
    users: Sequence[tuple[StoreUser, Leaf]],
    buckets: Sequence[str],
    claim: Leaf,
    service_monitors: Leaf,
) -> Values:
    """Return the values.

    ``root_secret`` holds ``rootUser`` and ``rootPassword``. ``users``: each with the Secret that holds its password
    under ``credentials.USER_KEY``. ``claim`` is the PersistentVolumeClaim of the data.
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
        "policies": [{"name": user.policy, "statements": list(_statements(user))} for user, _ in users],
        "users": [
            {
                "accessKey": user.name,
                "existingSecret": secret,
                "existingSecretKey": credentials.USER_KEY,
                "policy": user.policy,
            }
            for user, secret in users
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


def _statements(user: StoreUser) -> Iterator[Values]:
    """Yield what a user may do with the objects of buckets, and with the buckets themselves."""
    scratch = (f"{user.scratch}*",) if user.scratch else ()
    for buckets, (objects, whole) in (
        (user.writes, (_OBJECTS, _BUCKETS)),
        (user.reads, _READ),
        (scratch, _SCRATCH),
    ):
        if buckets:
            yield {"resources": [f"arn:aws:s3:::{bucket}/*" for bucket in buckets], "actions": list(objects)}
            yield {"resources": [f"arn:aws:s3:::{bucket}" for bucket in buckets], "actions": list(whole)}
