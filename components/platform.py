"""Phases 2 to 6 inside the cluster, in order: each takes what those before it gave out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import pulumi
from pulumi import ResourceOptions

from cluster.render import addresses, inference_service
from cluster.services import inside as inside_names
from cluster.settings.model import Settings
from components import kube
from components.backup import Backups, BackupsArgs
from components.cluster_base import ClusterBase, ClusterBaseArgs
from components.dashboards import Dashboards, DashboardsArgs
from components.database import Database, DatabaseArgs
from components.federation import Federation, FederationArgs
from components.gpu_operator import GpuOperator, GpuOperatorArgs
from components.kserve import KServe, KServeArgs
from components.mlflow import MLflow, MLflowArgs
from components.models import Models, ModelsArgs
from components.monitoring import Monitoring, MonitoringArgs
from components.object_store import ObjectStore, ObjectStoreArgs
from components.oumi import WorkflowCheck, WorkflowCheckArgs
from components.performance import Performance, PerformanceArgs
from components.prepull import Prepull, PrepullArgs
from components.transfer import ModelTransfer, ModelTransferArgs


class ReadyCluster(Protocol):
    """What is needed of the cluster: a value that is known once every node is Ready."""

    @property
    def ready(self) -> pulumi.Output[str]: ...


@dataclass(frozen=True)
class PlatformOutputs:
    """Where things are reached, for the stack's outputs.

    ``endpoints``: service or model -> URL from outside (its name has to point at any node). ``internal``: service ->
    URL inside the cluster, known once the service runs.
    """

    endpoints: dict[str, str]
    internal: dict[str, pulumi.Output[str]]


def deploy_platform(
    settings: Settings,
    kubernetes_provider: pulumi.ProviderResource,
    keeping_provider: pulumi.ProviderResource,
    command_provider: pulumi.ProviderResource,
    cluster: ReadyCluster,
) -> PlatformOutputs:
    """Register every phase that the settings ask for; without GPUs no GPU operator, without models no checks of
    them. ``keeping_provider`` is for what holds data: the cluster's, too, but it takes up what is there.
    """
    inside = ResourceOptions(providers=[kubernetes_provider, command_provider])

    # Phase 2: the cluster's base, then what makes GPUs schedulable.
    base = ClusterBase("base", ClusterBaseArgs(settings, cluster.ready), inside)
    storage, monitors, gateway = base.storage_classes, base.service_monitors, base.gateway
    if settings.models and settings.serving.prepull:
        Prepull("prepull", PrepullArgs(settings), inside)
    gpus = GpuOperatorArgs(settings, monitors, cluster.ready)
    gpu = GpuOperator("gpus", gpus, inside) if settings.gpu_count else None

    # Phase 3: object store and database side by side, backups and MLflow over both, then KServe.
    kept = kube.Keeper(keeping_provider, settings.object_store.retain)
    store_args = ObjectStoreArgs(settings, storage["object_store"], monitors, gateway, kept)
    store = ObjectStore("store", store_args, inside)
    kept = kube.Keeper(keeping_provider, settings.database.retain)
    store_url = f"http://{inside_names.object_store(settings).host}"
    database_args = DatabaseArgs(settings, storage["database"], monitors, kept, base.issuer, store_url)
    database = Database("database", database_args, inside)
    if settings.backup:
        Backups("backup", BackupsArgs(settings, settings.backup, store.access, database.access), inside)
    mlflow = MLflow("mlflow", MLflowArgs(settings, store.access, database.access, gateway), inside)
    kserve = KServe("kserve", KServeArgs(settings, mlflow.uri, gateway, [gpu.driver] if gpu else []), inside)

    # Phase 4, beside phase 3: monitoring, then its dashboards.
    gpu_job = gpu.dcgm_job if gpu else ""
    monitoring_args = MonitoringArgs(settings, storage["monitoring"], monitors, gateway, gpu_job)
    monitoring = Monitoring("monitoring", monitoring_args, inside)
    shown = monitoring.namespace
    dashboards = Dashboards("dashboards", DashboardsArgs(settings, shown), inside)

    # Phase 5: the models, and whether they answer.
    models = Models("models", ModelsArgs(settings, store.access, mlflow.password, gateway, kserve.last), inside)
    if settings.models:
        WorkflowCheck("workflow-check", WorkflowCheckArgs(settings, models.ready_urls), inside)

    # Phase 6, side by side: transfer, federated monitoring, performance checks.
    if settings.transfer:
        brought = ModelTransferArgs(settings, settings.transfer, store.access, mlflow.password, models.served)
        ModelTransfer("transfer", brought, inside)
    if settings.monitoring.federate:
        federated = FederationArgs(settings, settings.monitoring.federate, shown, dashboards.folder)
        Federation("federation", federated, inside)
    if settings.models:
        Performance("performance", PerformanceArgs(settings, models.ready_urls), inside)
    return PlatformOutputs(_endpoints(settings), {"mlflow": mlflow.uri, "object-store": store.access.url})


def _endpoints(settings: Settings) -> dict[str, str]:
    consoles = ["mlflow", "grafana", *(["minio"] if settings.object_store.engine == "minio" else [])]
    found = {name: addresses.url(name, settings) for name in consoles}
    for model in settings.served:
        host = inference_service.outside_host(model, settings.serving.domain)
        found[f"model/{model.name}"] = f"https://{host}:{addresses.HTTPS_NODE_PORT}"
    return found
