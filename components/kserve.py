"""CLOUD-3.4: KServe, which turns a stored model into a service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource

from cluster.render import credentials
from cluster.render.container_images import image
from cluster.render.values import kserve_resources, kserve_runtime_configs, resources
from cluster.settings.model import Settings
from components import kube
from components.base import TaskComponent

_DOWNLOAD = 'mlflow artifacts download --artifact-uri "$0" --dst-path "$1"'


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
    """CRDs, controller, serving runtimes (last: their webhook must answer), and how ``models:/`` URIs are fetched.

    ``last``: the resources that have to be there before, and go after, every InferenceService.
    """

    last: list[pulumi.Resource]

    def __init__(self, name: str, args: KServeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        settings = args.settings
        super().__init__("cloud:mlops:KServe", name, "CLOUD-3.4", {"domain": settings.serving.domain}, opts)
        # models ask for nvidia.com/gpu, which the GPU nodes offer once they have their drivers; no value goes in here
        where = kube.name_of(kube.namespace(self, settings, "kserve", "baseline", depends_on=args.after))
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
        registry = self._model_registry(args, controller)
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
        self.last = [runtimes, registry]
        self.register_outputs({"ready": kube.known_after("kserve", runtimes, registry)})

    def _model_registry(self, args: KServeArgs, controller: pulumi.Resource) -> CustomResource:
        """Let models name ``models:/NAME/VERSION``: KServe itself knows s3, hf and pvc only."""
        login = [
            {"name": variable, "valueFrom": {"secretKeyRef": {"name": credentials.MLFLOW_LOGIN, "key": key}}}
            for variable, key in (("MLFLOW_TRACKING_USERNAME", "username"), ("MLFLOW_TRACKING_PASSWORD", "password"))
        ]
        return kube.custom(
            self,
            "mlflow-storage",
            ("serving.kserve.io/v1alpha1", "ClusterStorageContainer"),
            {"name": "mlflow"},
            {
                "container": {
                    "name": "storage-initializer",
                    "image": str(image("mlflow", args.settings.registry)),
                    "command": ["sh", "-c", _DOWNLOAD],
                    "env": [{"name": "MLFLOW_TRACKING_URI", "value": args.mlflow_uri}, *login],
                    "resources": resources("100m", "512Mi", cpu_limit="2", memory_limit="4Gi"),
                },
                "supportedUriFormats": [{"prefix": "models:/"}],
                "workloadType": "initContainer",
            },
            # its kind comes with the CRDs and its webhook with the controller
            depends_on=[controller],
        )
