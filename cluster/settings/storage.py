"""Which storage class each service's volumes have."""

from __future__ import annotations

from cluster.settings.model import Settings


def classes(settings: Settings) -> dict[str, str]:
    """Return section of the settings -> name of the storage class: its own, else the cluster's."""
    sections = {
        "object_store": settings.object_store,
        "database": settings.database,
        "monitoring": settings.monitoring,
    }
    return {name: each.storage_class or settings.kubernetes.storage_class for name, each in sections.items()}
