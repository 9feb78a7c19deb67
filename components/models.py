"""CLOUD-5.1: the models of the settings as services, by KServe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core.v1 import ServiceAccount

from cluster.render import addresses, credentials, inference_service
from cluster.settings.model import Model, Settings
from components import kube
from components.base import TaskComponent
from components.object_store import S3Access


@dataclass(frozen=True)
class ModelsArgs:
    """``after`` is what KServe ends with; ``s3`` and ``mlflow_password`` let models be fetched."""

    settings: Settings
    s3: S3Access
    mlflow_password: pulumi.Input[str]
    after: Sequence[pulumi.Resource]


class Models(TaskComponent):
    """A namespace; per model a Secret with its S3 access, a ServiceAccount that lists it, an InferenceService.

    It does not wait until a model is loaded: on a fresh cluster the bucket is empty until the transfer has run, and
    a model that is not there yet is no reason to fail an update. The workflow check says which ones answer.

    ``ready_urls``: per model the URL that answers 200 once it is loaded. ``served``: what to wait for.
    """

    ready_urls: dict[str, pulumi.Output[str]]
    served: list[pulumi.Resource]

    def __init__(self, name: str, args: ModelsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        models = args.settings.models
        facts = [{"name": m.name, "uri": m.uri, "version": m.version, "gpus": m.gpus} for m in models]
        super().__init__("cloud:oumi:Models", name, "CLOUD-5.1", {"models": facts}, opts)
        # only KServe's controller can take the finalizers off InferenceServices, whoever made them: it has to outlive
        # the namespace, and no value of it goes in here
        space = kube.namespace(self, args.settings, inference_service.NAMESPACE, "baseline", depends_on=args.after)
        where = kube.name_of(space)
        admin_password = pulumi.Output.from_input(args.mlflow_password)
        kube.secret_of(self, where, credentials.mlflow_admin(admin_password, credentials.MLFLOW_LOGIN))
        services = {model.name: self._service(model, args, where) for model in models}
        self._monitor(where)
        self.served = [space, *services.values()]
        self.ready_urls = {
            model.name: kube.known_after(inference_service.ready_url(model), services[model.name]) for model in models
        }
        domain = args.settings.serving.domain
        urls = {
            model.name: f"https://{inference_service.outside_host(model, domain)}:{addresses.HTTPS_NODE_PORT}"
            for model in models
        }
        told = {model: kube.known_after(url, services[model]) for model, url in urls.items()}
        self.register_outputs({"namespace": where, "urls": told})

    def _service(self, model: Model, args: ModelsArgs, where: pulumi.Output[str]) -> CustomResource:
        login = credentials.kserve_s3(f"{model.name}-s3", args.s3.user, args.s3.password, args.s3.host)
        access = kube.secret_of(self, where, login)
        account = ServiceAccount(
            f"{model.name}-account",
            metadata={"name": model.name, "namespace": where},
            secrets=[{"name": kube.known_after(login.name, access)}],
            opts=self.child(),
        )
        return kube.custom(
            self,
            model.name,
            ("serving.kserve.io/v1beta1", "InferenceService"),
            {"name": model.name, "namespace": where, "annotations": inference_service.service_annotations(model)},
            inference_service.spec(model, kube.known_after(model.name, account)),
        )

    def _monitor(self, where: pulumi.Output[str]) -> None:
        served = [{"key": "serving.kserve.io/inferenceservice", "operator": "Exists"}]
        kube.custom(
            self,
            "models-metrics",
            ("monitoring.coreos.com/v1", "PodMonitor"),
            {"name": "models", "namespace": where},
            {
                "selector": {"matchExpressions": served},
                "podMetricsEndpoints": [{"portNumber": 8080, "path": "/metrics"}],
            },
        )
