"""CLOUD-6.1: trained models from the HPC cluster's file system into the object store, by the clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_command import local

from cluster.render import addresses, credentials
from cluster.services.logins import REGION
from cluster.settings.model import Settings, Transfer
from cluster.timers.task import digest
from cluster.transfer.timer import TASK
from components.base import TaskComponent, module, run_dir
from components.object_store import S3Access


@dataclass(frozen=True)
class ModelTransferArgs:
    """``mlflow_password``: of MLflow's admin. ``served`` are the model services, which the transfer comes after."""

    settings: Settings
    transfer: Transfer
    s3: S3Access
    mlflow_password: pulumi.Output[str]
    served: Sequence[pulumi.Resource]


class ModelTransfer(TaskComponent):
    """A systemd timer on the machine that runs Pulumi, which mounts ``transfer.source``: ``cloudctl models sync``.

    Its logins lie in a file of mode 0600 beside the stack's other files; taking the component down removes all of it.
    """

    def __init__(self, name: str, args: ModelTransferArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        wish = args.transfer
        props = {"source": wish.source, "bucket": wish.bucket, "schedule": wish.schedule}
        super().__init__("cloud:integration:Transfer", name, "CLOUD-6.1", props, opts)
        stack = pulumi.get_stack()
        told = {"STACK": stack, "SOURCE": wish.source, "BUCKET": wish.bucket, "SCHEDULE": wish.schedule}
        timer = local.Command(
            "transfer-timer",
            create=module("cluster.timers", "up", "transfer"),
            delete=module("cluster.timers", "down", "transfer"),
            environment={
                **told,
                "UNITS": digest(TASK, told),
                "AWS_ENDPOINT_URL": wish.endpoint or addresses.url("s3", args.settings),
                "AWS_ACCESS_KEY_ID": args.s3.user,
                "AWS_SECRET_ACCESS_KEY": args.s3.password,
                "AWS_DEFAULT_REGION": REGION,
                "MLFLOW_TRACKING_URI": wish.mlflow or addresses.url("mlflow", args.settings),
                "MLFLOW_TRACKING_USERNAME": credentials.MLFLOW_ADMIN,
                "MLFLOW_TRACKING_PASSWORD": args.mlflow_password,
                "CA_FILE": wish.ca_file or "",
                "KUBECONFIG": f"{run_dir(stack)}/kubeconfig",
            },
            # a copy saturates the store's disk, so services that are there already load first; no value of theirs
            opts=self.child(depends_on=args.served),
        )
        self.register_outputs({"timer": timer.stdout})
