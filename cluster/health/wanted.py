"""Which services a stack has to have, and where inside the cluster each of them answers. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from cluster.health.model import Kind
from cluster.render import inference_service
from cluster.render.values import minio, mlflow, seaweedfs
from cluster.services.reach import Inside
from cluster.settings.model import Model, Settings

_STORES = {"minio": ("minio", minio.API_PORT), "seaweedfs": ("seaweedfs-all-in-one", seaweedfs.S3_PORT)}


@dataclass(frozen=True)
class Wanted:
    """A service: ``path`` of a model's readiness, and why it is not asked where it is stopped on purpose."""

    name: str
    kind: Kind
    inside: Inside
    path: str = ""
    stopped: str = ""


def wanted(settings: Settings) -> list[Wanted]:
    """Return the object store, the database, MLflow, and each model."""
    service, port = _STORES[settings.object_store.engine]
    return [
        Wanted(settings.object_store.engine, "object-store", Inside("object-store", service, port)),
        Wanted("postgresql", "database", Inside("database", "postgres-rw", 5432)),
        Wanted("mlflow", "mlflow", Inside("mlflow", "mlflow", mlflow.SERVICE_PORT)),
        *map(_model, settings.served),
    ]


def _model(model: Model) -> Wanted:
    url = urlsplit(inference_service.ready_url(model))
    inside = Inside(inference_service.NAMESPACE, f"{model.name}-predictor", url.port or 80)
    stopped = "min_replicas is 0: it runs only while somebody scales it up" if model.min_replicas == 0 else ""
    return Wanted(model.name, "model", inside, url.path, stopped)
