"""The object store, MinIO or SeaweedFS."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.monitoring.names import STORE
from cluster.monitoring.rules.rule import Alert, Rule
from cluster.settings.model import Settings

_HERE = f'namespace="{STORE}"'


def rules(settings: Settings) -> Iterable[Rule]:
    """Yield them."""
    yield Alert(
        "ObjectStoreDown",
        f"absent(up{{{_HERE}}} == 1)",
        3,
        "critical",
        "the object store does not answer: no model can be fetched, and MLflow has no artifacts",
    )
    if settings.object_store.engine == "minio":
        yield Alert(
            "ObjectStoreDiskOffline",
            f"minio_cluster_drive_offline_total{{{_HERE}}} > 0 or minio_cluster_health_status{{{_HERE}}} == 0",
            5,
            "critical",
            "MinIO cannot use its volume",
        )
        yield Alert(
            "ObjectStoreFull",
            f"minio_cluster_capacity_usable_free_bytes{{{_HERE}}}"
            f" / minio_cluster_capacity_usable_total_bytes{{{_HERE}}} < 0.1",
            15,
            "warning",
            "MinIO has {{ $value | humanizePercentage }} of its file system left",
        )
        failed, all_ = "minio_s3_requests_5xx_errors_total", "minio_s3_requests_total"
        failed_only = f"{failed}{{{_HERE}}}"
    else:
        all_ = "SeaweedFS_s3_request_total"
        failed_only = f'{all_}{{{_HERE}, code=~"5.."}}'
    yield Alert(
        "ObjectStoreErrors",
        f"sum(rate({failed_only}[5m])) / sum(rate({all_}{{{_HERE}}}[5m])) > 0.01",
        10,
        "warning",
        "{{ $value | humanizePercentage }} of the requests to the object store fail",
    )
