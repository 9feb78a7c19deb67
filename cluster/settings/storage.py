"""Which storage class each service's volumes have."""

from __future__ import annotations

from cluster.settings.model import Settings


def classes(settings: Settings) -> dict[str, str]:
    """Return section of the settings -> name of the storage class: its own, else the cluster's."""
    own = {
        "object_store": settings.object_store.storage_class,
        "database": settings.database.storage_class,
        "monitoring": settings.monitoring.storage_class,
    }
    return {name: each or settings.kubernetes.storage_class for name, each in own.items()}
