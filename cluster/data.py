"""What data a stack holds, in which volumes, and what becomes of it when a service or the whole stack is destroyed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cluster.render.values import minio, seaweedfs
from cluster.settings.model import Settings
from cluster.settings.storage import classes
from cluster.types import gb

KEPT = frozenset(
    {
        ("Namespace", "object-store"),
        ("PersistentVolumeClaim", f"object-store/{minio.CLAIM}"),
        ("PersistentVolumeClaim", f"object-store/{seaweedfs.CLAIM}"),
        ("Namespace", "database"),
        ("Cluster", "database/postgres"),
    }
)
"""Kind and id of what a destroy leaves in the cluster, unless a setting says otherwise: the claims, PostgreSQL's
cluster, which owns its claims, and the namespaces, since whoever deletes a namespace deletes all in it."""


@dataclass(frozen=True)
class Holding:
    """Data in one place.

    ``name``: the section of the settings that it belongs to, or the model. ``size_mib``: of all copies together, None
    where it is not ours. ``resource``: (end of the type, name) of what the stack's state has for it, None where it has
    nothing. ``service_destroyed`` and ``stack_destroyed`` are sentences; ``survives`` says the latter in a word.
    """

    name: str
    what: str
    volume: str
    size_mib: int | None
    storage_class: str | None
    resource: tuple[str, str] | None
    service_destroyed: str
    stack_destroyed: str
    survives: bool

    def __str__(self) -> str:
        size = f"{gb(self.size_mib)} of " if self.size_mib else ""
        return f"{size}{self.what} in {self.volume}: {self.stack_destroyed}"


def holdings(settings: Settings) -> tuple[Holding, ...]:
    """Return everything that a stack keeps on volumes, the most precious first."""
    store = settings.object_store
    claim = minio.CLAIM if store.engine == "minio" else seaweedfs.CLAIM
    database = settings.database
    copies = f", {database.instances} copies" if database.instances > 1 else ""
    return (
        _ours(
            settings,
            "object_store",
            "models and artifacts",
            f"claim object-store/{claim}",
            store.size,
            (":PersistentVolumeClaim", claim),
            store.retain,
        ),
        _ours(
            settings,
            "database",
            f"runs, registered models and users{copies}",
            "claims of PostgreSQL database/postgres",
            database.size * database.instances,
            (":Cluster", "postgres"),
            database.retain,
        ),
        _ours(
            settings,
            "monitoring",
            "metrics",
            "claims in namespace monitoring",
            settings.monitoring.size,
            (":Release", "monitoring"),
            False,
        ),
        *_foreign(settings),
    )


def _ours(
    settings: Settings, name: str, what: str, volume: str, size: int, resource: tuple[str, str], retain: bool
) -> Holding:
    kept = "stays in the cluster; a later up with the same secrets takes it up again"
    why = f" ({name}.retain is false)" if name != "monitoring" else " with its namespace"
    alone = kept if retain else f"is deleted{why}"
    on_vms = settings.kubernetes.provisioner != "existing"
    whole = "is deleted with the disks of the VMs" if on_vms else alone
    return Holding(
        name, what, volume, size, classes(settings)[name], resource, alone, whole, survives=retain and not on_vms
    )


def _foreign(settings: Settings) -> Iterator[Holding]:
    """Yield the claims that others made in a namespace of ours, for models to be served from."""
    whole = "is deleted with namespace models: copy it elsewhere before"
    for model in settings.models:
        if model.uri.startswith("pvc:"):
            claim = model.uri.removeprefix("pvc://").partition("/")[0]
            volume = f"claim models/{claim}, which is not ours"
            yield Holding(model.name, "a model", volume, None, None, None, whole, whole, survives=False)
