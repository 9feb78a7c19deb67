"""CLOUD-2.2: NVIDIA's GPU operator, which makes the workers' cards schedulable."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.helm.v3 import Release

from cluster.render.values import gpu_operator
from cluster.settings.model import Settings
from components import kube
from components.base import TaskComponent


@dataclass(frozen=True)
class GpuOperatorArgs:
    """``service_monitors``: whether the Prometheus operator's CRDs are there."""

    settings: Settings
    service_monitors: pulumi.Input[bool]


class GpuOperator(TaskComponent):
    """The operator's namespace and release.

    ``dcgm_job``: label ``job`` of the cards' metrics, empty where the exporter is off. ``release``: for phases that
    need the operator but none of its values.
    """

    dcgm_job: pulumi.Output[str]
    release: Release

    def __init__(self, name: str, args: GpuOperatorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        settings = args.settings
        props = {"gpus": settings.gpu_count, "driver": settings.gpu_operator.driver}
        super().__init__("cloud:kubernetes:GpuOperator", name, "CLOUD-2.2", props, opts)
        # drivers and device plugins mount the host's devices
        where = kube.namespace(self, "gpu-operator", "privileged")
        values = gpu_operator.values(settings, service_monitors=args.service_monitors)
        # the driver is compiled on each worker: ten minutes and more
        self.release = kube.release(
            self, "gpu-operator", "gpu-operator", kube.name_of(where), values, settings, timeout_s=1800
        )
        job = gpu_operator.DCGM_JOB if settings.gpu_operator.dcgm_exporter else ""
        self.dcgm_job = kube.known_after(job, self.release)
        self.register_outputs({"dcgm_job": self.dcgm_job})
