"""CLOUD-3.4: KServe, which turns a stored model into a service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource

from cluster.render import storage_containers
from cluster.render.values import kserve_resources, kserve_runtime_configs
from cluster.settings.model import Settings
from components import kube
from components.base import TaskComponent


@dataclass(frozen=True)
class KServeArgs:
    """``mlflow_uri`` is where ``models:/`` URIs are looked up; ``after`` holds the GPU nodes' drivers where there
    are any.
    """

    settings: Settings
    mlflow_uri: pulumi.Input[str]
    gateway: kube.Gateway
    after: Sequence[pulumi.Resource] = ()


class KServe(TaskComponent):
    """CRDs, controller, serving runtimes (last: their webhook must answer), and how models are fetched.

    ``last``: the resources that have to be there before, and go after, every InferenceService.
    """

    last: list[pulumi.Resource]

    def __init__(self, name: str, args: KServeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        settings = args.settings
        super().__init__("cloud:mlops:KServe", name, "CLOUD-3.4", {"domain": settings.serving.domain}, opts)
        # models ask for nvidia.com/gpu, which the GPU nodes offer once they have their drivers; no value goes in here
        where = kube.name_of(kube.namespace(self, settings, "kserve", "restricted", depends_on=args.after))
        crds = kube.release(self, "kserve-crd", "kserve-crd", where, {}, settings)
        gateway = pulumi.Output.concat(args.gateway.namespace, "/", args.gateway.name)
        controller = kube.release(
            self,
            "kserve",
            "kserve-resources",
            where,
            kserve_resources.values(settings, gateway=gateway),
            settings,
            # the controller's objects are of kinds that the CRDs' release brings; the two share no value
            depends_on=[crds],
        )
        storage = self._storage(args, controller)
        runtimes = kube.release(
            self,
            "kserve-runtime-configs",
            "kserve-runtime-configs",
            where,
            kserve_runtime_configs.values(settings),
            settings,
            # a webhook of the controller checks every runtime, and refuses all while it is starting
            depends_on=[controller],
        )
        self.last = [runtimes, *storage]
        self.register_outputs({"ready": kube.known_after("kserve", runtimes, *storage)})

    def _storage(self, args: KServeArgs, controller: pulumi.Resource) -> list[CustomResource]:
        """Have models fetched and checked by our own program; KServe itself knows no ``models:/`` URIs at all."""
        return [
            kube.custom(
                self,
                f"{each.name}-storage",
                ("serving.kserve.io/v1alpha1", "ClusterStorageContainer"),
                {"name": each.name},
                each.spec,
                # its kind comes with the CRDs and its webhook with the controller
                depends_on=[controller],
            )
            for each in storage_containers.storage_containers(args.settings, args.mlflow_uri)
        ]
