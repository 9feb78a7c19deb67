"""CLOUD-6.1: trained models from the HPC cluster's file system into the object store, by the clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes.batch.v1 import CronJob
from pulumi_kubernetes.core.v1 import PersistentVolume, PersistentVolumeClaim

from cluster.render import credentials
from cluster.render.container_images import image
from cluster.render.values import resources
from cluster.settings.model import Settings, Transfer
from components import kube
from components.base import TaskComponent
from components.object_store import S3Access

_NAME = "model-transfer"


@dataclass(frozen=True)
class ModelTransferArgs:
    """``served`` are the model services, which the transfer comes after."""

    settings: Settings
    transfer: Transfer
    s3: S3Access
    served: Sequence[pulumi.Resource]


class ModelTransfer(TaskComponent):
    """A read-only volume over ``transfer.source``, the store's credentials and a CronJob.

    The folder has to be mounted at that path on the workers. Files of a model never change once they are copied: a
    version that differs from its copy is an error of that run, not an overwritten model.
    """

    def __init__(self, name: str, args: ModelTransferArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        wish = args.transfer
        props = {"source": wish.source, "bucket": wish.bucket, "schedule": wish.schedule}
        super().__init__("cloud:integration:Transfer", name, "CLOUD-6.1", props, opts)
        # a copy saturates the store's disk, so services that are there already load first; no value of theirs goes in
        where = kube.name_of(kube.namespace(self, args.settings, "transfer", "restricted", depends_on=args.served))
        claim = self._claim(wish, where)
        login = kube.secret_of(self, where, credentials.s3("transfer-s3", args.s3.user, args.s3.password))
        pod = _pod(args, kube.known_after("transfer-s3", login), kube.known_after(_NAME, claim))
        job = CronJob(
            _NAME,
            metadata={"name": _NAME, "namespace": where},
            spec={
                "schedule": wish.schedule,
                "concurrencyPolicy": "Forbid",
                "startingDeadlineSeconds": 600,
                "successfulJobsHistoryLimit": 3,
                "failedJobsHistoryLimit": 3,
                "jobTemplate": {"spec": {"backoffLimit": 2, "template": {"spec": pod}}},
            },
            opts=self.child(),
        )
        self.register_outputs({"cron_job": kube.known_after(f"transfer/{_NAME}", job)})

    def _claim(self, wish: Transfer, where: pulumi.Output[str]) -> PersistentVolumeClaim:
        """Make a claim on the folder: a pod that names a host path itself would need a privileged namespace."""
        size, modes = {"storage": "1Ti"}, ["ReadOnlyMany"]
        volume = PersistentVolume(
            "transfer-source",
            metadata={"name": "transfer-source"},
            spec={
                "capacity": size,
                "accessModes": modes,
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": "",
                # Directory: a pod on a worker without the mount says so instead of copying nothing
                "hostPath": {"path": wish.source, "type": "Directory"},
                "claimRef": {"namespace": where, "name": _NAME},
            },
            opts=self.child(),
        )
        return PersistentVolumeClaim(
            "transfer-claim",
            metadata={"name": _NAME, "namespace": where},
            spec={
                "accessModes": modes,
                "storageClassName": "",
                "volumeName": kube.known_after("transfer-source", volume),
                "resources": {"requests": size},
            },
            opts=self.child(),
        )


def _pod(args: ModelTransferArgs, secret: pulumi.Output[str], claim: pulumi.Output[str]) -> dict[str, Any]:
    keys = (credentials.ACCESS_KEY, credentials.SECRET_KEY)
    login = [{"name": key, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}} for key in keys]
    remote = {
        "RCLONE_CONFIG": "/tmp/rclone.conf",  # noqa: S108 the pod's own emptyDir
        "RCLONE_CONFIG_STORE_TYPE": "s3",
        "RCLONE_CONFIG_STORE_PROVIDER": "Other",
        "RCLONE_CONFIG_STORE_ENV_AUTH": "true",
        "RCLONE_CONFIG_STORE_ENDPOINT": args.s3.url,
        "RCLONE_CONFIG_STORE_REGION": args.s3.region,
        "RCLONE_S3_NO_CHECK_BUCKET": "true",
    }
    container = kube.restricted_container(
        "copy",
        str(image("rclone", args.settings.registry)),
        # --min-age: what a training run is still writing waits for the next time
        ["rclone", "copy", "/source", f"store:{args.transfer.bucket}", "--immutable", "--min-age", "10m", "-v"],
        resources=resources("200m", "512Mi", memory_limit="1Gi"),
        env=[*({"name": name, "value": value} for name, value in remote.items()), *login],
        mounts=[
            {"name": "source", "mountPath": "/source", "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
        ],
    )
    volumes = [
        {"name": "source", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}},
        {"name": "tmp", "emptyDir": {}},
    ]
    return kube.restricted_pod([container], volumes)
