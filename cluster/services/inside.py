"""Where the stack's services answer inside the cluster. Pure."""

from __future__ import annotations

from cluster.render.values import minio, mlflow, seaweedfs
from cluster.services.reach import Inside
from cluster.settings.model import Settings

DATABASE = Inside("database", "postgres-rw", 5432)
MLFLOW = Inside("mlflow", "mlflow", mlflow.SERVICE_PORT)

_STORES = {
    "minio": Inside("object-store", "minio", minio.API_PORT),
    "seaweedfs": Inside("object-store", "seaweedfs-all-in-one", seaweedfs.S3_PORT),
}


def object_store(settings: Settings) -> Inside:
    """Return the object store's S3 API."""
    return _STORES[settings.object_store.engine]
