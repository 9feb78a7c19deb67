"""CLOUD-2.2: NVIDIA's GPU operator, which makes the workers' cards schedulable, and their drivers."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_command import local
from pulumi_kubernetes.helm.v3 import Release

from cluster.render.container_images import image
from cluster.render.values import gpu_operator
from cluster.settings.model import Settings
from components import kube
from components.base import TaskComponent, module, run_dir


@dataclass(frozen=True)
class GpuOperatorArgs:
    """``service_monitors``: whether the Prometheus operator's CRDs are there. ``nodes_ready`` changes with the nodes:
    then CUDA is checked again.
    """

    settings: Settings
    service_monitors: pulumi.Input[bool]
    nodes_ready: pulumi.Input[str]


class GpuOperator(TaskComponent):
    """The operator's namespace and release, and the GPU nodes' drivers.

    ``dcgm_job``: label ``job`` of the cards' metrics, empty where the exporter is off. ``release``: for phases that
    need the operator but none of its values. ``driver``: for what needs cards, once each GPU node has the wanted driver
    and CUDA was seen to work there; ``ready`` is what it said, a line for each node.
    """

    dcgm_job: pulumi.Output[str]
    ready: pulumi.Output[str]
    release: Release
    driver: local.Command

    def __init__(self, name: str, args: GpuOperatorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        settings = args.settings
        props = {"gpus": settings.gpu_count, "driver": settings.gpu_operator.driver}
        super().__init__("cloud:kubernetes:GpuOperator", name, "CLOUD-2.2", props, opts)
        # drivers and device plugins mount the host's devices
        where = kube.namespace(self, settings, "gpu-operator", "privileged")
        values = gpu_operator.values(settings, service_monitors=args.service_monitors)
        self.release = kube.release(
            self, "gpu-operator", "gpu-operator", kube.name_of(where), values, settings, timeout_s=1800
        )
        job = gpu_operator.DCGM_JOB if settings.gpu_operator.dcgm_exporter else ""
        self.dcgm_job = kube.known_after(job, self.release)
        self.driver = self._driver(args)
        self.ready = self.driver.stdout
        self.register_outputs({"dcgm_job": self.dcgm_job, "ready": self.ready})

    def _driver(self, args: GpuOperatorArgs) -> local.Command:
        """Bring the nodes to the wanted driver, one at a time, and check CUDA.

        The release is there before the drivers are, which each worker compiles for ten minutes and more; with another
        version it only tells the operator which driver a new driver pod gets.
        """
        settings = args.settings
        nodes = " ".join(f"{each.name}={len(each.gpus)}" for each in settings.machines if each.gpus)
        return local.Command(
            "gpu-driver",
            create=module("cluster.drivers", "bring"),
            environment={
                "KUBECONFIG": f"{run_dir(pulumi.get_stack())}/kubeconfig",
                "GPU_NODES": nodes,
                "CUDA_IMAGE": str(image("cuda-sample", settings.registry)),
                # empty: the image carries the driver; known in preview, and taken once the release is there
                "DRIVER_VERSION": kube.known_after(gpu_operator.driver_version(settings) or "", self.release),
            },
            triggers=[args.nodes_ready],
            opts=self.child(),
        )
