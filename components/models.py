"""CLOUD-5.1: the models of the settings as services, by KServe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core.v1 import ConfigMap, PersistentVolume, PersistentVolumeClaim, ServiceAccount
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget

from cluster.render import (
    addresses,
    credentials,
    disruption,
    failover,
    inference_service,
    names,
    scheduling,
    storage_containers,
)
from cluster.settings.model import Model, Settings
from cluster.settings.served import standby_of
from components import kube
from components.base import TaskComponent
from components.object_store import S3Access

_TASK = "CLOUD-5.1"


@dataclass(frozen=True)
class ModelsArgs:
    """``after`` is what KServe ends with; ``s3`` and ``mlflow_password`` let models be fetched."""

    settings: Settings
    s3: S3Access
    mlflow_password: pulumi.Input[str]
    gateway: kube.Gateway
    after: Sequence[pulumi.Resource]


@dataclass(frozen=True)
class ModelServiceArgs:
    """``scripts`` and ``cache`` are names of what the pods mount while they fetch the model."""

    settings: Settings
    model: Model
    s3: S3Access
    gateway: kube.Gateway
    where: pulumi.Output[str]
    scripts: pulumi.Output[str]
    cache: pulumi.Output[str] | None


class Models(TaskComponent):
    """A namespace, MLflow's login and the programs that fetch models in it, and a ``ModelService`` for each model.

    It does not wait until a model is loaded: on a fresh cluster the bucket is empty until the transfer has run, and
    a model that is not there yet is no reason to fail an update. The workflow check says which ones answer.

    ``ready_urls``: per model the URL that answers 200 once it is loaded. ``served``: what to wait for.
    """

    ready_urls: dict[str, pulumi.Output[str]]
    served: list[pulumi.Resource]

    def __init__(self, name: str, args: ModelsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        models = args.settings.served
        facts = [{"name": m.name, "uri": m.uri, "version": m.version, "gpus": m.gpus} for m in models]
        super().__init__("cloud:oumi:Models", name, _TASK, {"models": facts}, opts)
        # only KServe's controller can take the finalizers off InferenceServices, whoever made them: it has to outlive
        # the namespace, and no value of it goes in here
        space = kube.namespace(self, args.settings, inference_service.NAMESPACE, "baseline", depends_on=args.after)
        where = kube.name_of(space)
        admin_password = pulumi.Output.from_input(args.mlflow_password)
        kube.secret_of(self, where, credentials.mlflow_admin(admin_password, credentials.MLFLOW_LOGIN))
        scripts = ConfigMap(
            storage_containers.SCRIPTS,
            metadata={"name": storage_containers.SCRIPTS, "namespace": where},
            data=storage_containers.scripts(),
            opts=self.child(),
        )
        mounted = kube.known_after(storage_containers.SCRIPTS, scripts)
        cache = self._cache(where) if any(model.cache for model in models) else None
        services = {
            model.name: ModelService(
                f"model-{model.name}",
                ModelServiceArgs(args.settings, model, args.s3, args.gateway, where, mounted, cache),
                self.child(),
            )
            for model in models
        }
        self.served = [space, *(service.inference_service for service in services.values())]
        self.ready_urls = {name: service.ready_url for name, service in services.items()}
        self.register_outputs({"namespace": where, "urls": {name: each.url for name, each in services.items()}})

    def _cache(self, where: pulumi.Output[str]) -> pulumi.Output[str]:
        """Make a claim on each node's own folder: a pod that names a host path needs a privileged namespace."""
        size, modes, name = {"storage": "1Ti"}, ["ReadWriteMany"], storage_containers.CACHE
        volume = PersistentVolume(
            name,
            metadata={"name": name},
            spec={
                "capacity": size,
                "accessModes": modes,
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": "",
                "hostPath": {"path": storage_containers.CACHE_FOLDER, "type": "DirectoryOrCreate"},
                "claimRef": {"namespace": where, "name": name},
            },
            opts=self.child(),
        )
        claim = PersistentVolumeClaim(
            f"{name}-claim",
            metadata={"name": name, "namespace": where},
            spec={
                "accessModes": modes,
                "storageClassName": "",
                "volumeName": kube.known_after(name, volume),
                "resources": {"requests": size},
            },
            opts=self.child(),
        )
        return kube.known_after(name, claim)


class ModelService(TaskComponent):
    """A model: a Secret with its S3 login, a ServiceAccount that lists it, InferenceService, route and monitor.

    With ``standby: cpu`` a second InferenceService on the CPU, and what the gateway needs to go over to it.

    ``ready_url``: answers 200 inside the cluster once the model is loaded. ``url``: where it answers from outside.
    """

    ready_url: pulumi.Output[str]
    url: pulumi.Output[str]

    def __init__(self, name: str, args: ModelServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        model, where = args.model, args.where
        facts = {"model": model.name, "uri": model.uri, "version": model.version, "runtime": model.runtime}
        super().__init__("cloud:oumi:ModelService", name, _TASK, {**facts, "gpus": model.gpus}, opts)
        account = self._account(args)
        self.inference_service: CustomResource = kube.custom(
            self,
            model.name,
            ("serving.kserve.io/v1beta1", "InferenceService"),
            {
                "name": model.name,
                "namespace": where,
                "labels": inference_service.INTERNAL,
                "annotations": inference_service.service_annotations(model),
            },
            self._spec(args, model, account),
        )
        if standby := standby_of(model):
            self._standby(args, standby, account)
        self._route(args)
        self._monitor(args)
        if model.min_replicas > 1:
            self._budget(args)
        self.ready_url = kube.known_after(inference_service.ready_url(model), self.inference_service)
        host = inference_service.outside_host(model, args.settings.serving.domain)
        self.url = kube.known_after(f"https://{host}:{addresses.HTTPS_NODE_PORT}", self.inference_service)
        self.register_outputs({"url": self.url})

    def _spec(self, args: ModelServiceArgs, model: Model, account: pulumi.Output[str]) -> dict[str, Any]:
        return inference_service.spec(
            model,
            account,
            registry=args.settings.registry,
            scripts=args.scripts,
            cache=args.cache,
            leave_after=args.settings.serving.leave_after,
        )

    def _standby(self, args: ModelServiceArgs, standby: Model, account: pulumi.Output[str]) -> None:
        """Make what stands by on the CPU, and what the gateway needs to go over to it."""
        name = names.standby_name(standby.name)
        spec = self._spec(args, standby, account)
        spec["predictor"]["affinity"] = scheduling.without_gpus()
        kube.custom(
            self,
            name,
            ("serving.kserve.io/v1beta1", "InferenceService"),
            {
                "name": name,
                "namespace": args.where,
                "labels": inference_service.INTERNAL,
                "annotations": inference_service.service_annotations(standby),
            },
            spec,
        )
        for backend, wanted in failover.backends(args.model, inference_service.NAMESPACE).items():
            kube.custom(self, backend, (failover.API, "Backend"), {"name": backend, "namespace": args.where}, wanted)
        kube.custom(
            self,
            f"{args.model.name}-health",
            (failover.API, "BackendTrafficPolicy"),
            {"name": args.model.name, "namespace": args.where},
            failover.health_policy(args.model.name),
        )

    def _account(self, args: ModelServiceArgs) -> pulumi.Output[str]:
        name = args.model.name
        login = credentials.kserve_s3(f"{name}-s3", args.s3.user, args.s3.password, args.s3.host)
        access = kube.secret_of(self, args.where, login)
        account = ServiceAccount(
            f"{name}-account",
            metadata={"name": name, "namespace": args.where},
            secrets=[{"name": kube.known_after(login.name, access)}],
            opts=self.child(),
        )
        return kube.known_after(name, account)

    def _route(self, args: ModelServiceArgs) -> None:
        """Route the model's outside name to it, over both listeners as KServe does."""
        parent = {"name": args.gateway.name, "namespace": args.gateway.namespace}
        kube.custom(
            self,
            f"{args.model.name}-route",
            ("gateway.networking.k8s.io/v1", "HTTPRoute"),
            {"name": args.model.name, "namespace": args.where, "annotations": inference_service.OURS},
            inference_service.route_spec(args.model, args.settings.serving.domain, parent),
        )

    def _budget(self, args: ModelServiceArgs) -> None:
        """Let a drain take one replica at a time; with one alone it could take none."""
        name = args.model.name
        PodDisruptionBudget(
            f"{name}-budget",
            metadata={"name": name, "namespace": args.where},
            spec=disruption.budget({"serving.kserve.io/inferenceservice": name}),
            opts=self.child(),
        )

    def _monitor(self, args: ModelServiceArgs) -> None:
        """Have the model's pods measured, those of a version under test as well: the gate compares them."""
        name = args.model.name
        kube.custom(
            self,
            f"{name}-metrics",
            ("monitoring.coreos.com/v1", "PodMonitor"),
            {"name": name, "namespace": args.where},
            inference_service.monitor_spec(args.model),
        )
