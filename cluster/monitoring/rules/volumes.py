"""Volumes that fill, in one measure: what is used of a claim, and how large it is.

The kubelet tells both for volumes of most kinds, but not for those of the local path provisioner, the default here:
they are folders of a node (rancher/local-path-provisioner#44). There the services' own words are taken, and the size
that was asked for. What such a folder really shares is the node's disk: NodeDiskFilling looks at that.
"""

from __future__ import annotations

from collections.abc import Iterable

from cluster.monitoring.names import KUBELET, POSTGRES, STATE, STORE
from cluster.monitoring.rules.rule import DAY, Alert, Recorded, Rule
from cluster.render.values import minio
from cluster.settings.model import Settings

USED = "inference_cloud:volume_used_bytes"
SIZE = "inference_cloud:volume_size_bytes"

_CLAIM = "namespace, persistentvolumeclaim"


def rules(settings: Settings) -> Iterable[Rule]:
    """Yield them."""
    kubelet_used = f'max by ({_CLAIM}) (kubelet_volume_stats_used_bytes{{job="{KUBELET}"}})'
    kubelet_size = f'max by ({_CLAIM}) (kubelet_volume_stats_capacity_bytes{{job="{KUBELET}"}})'
    asked = f'max by ({_CLAIM}) (kube_persistentvolumeclaim_resource_requests_storage_bytes{{job="{STATE}"}})'
    own = " or ".join(_told_by_services(settings))
    yield Recorded(USED, f"{kubelet_used} or ({own})")
    yield Recorded(SIZE, f"{kubelet_size} or {asked}")
    full = f"{USED} / on ({_CLAIM}) {SIZE}"
    yield Alert(
        "VolumeFilling",
        f"predict_linear({USED}[6h], {4 * DAY}) > on ({_CLAIM}) {SIZE} and on ({_CLAIM}) {full} > 0.5",
        60,
        "warning",
        "volume {{ $labels.persistentvolumeclaim }} in {{ $labels.namespace }} will be full within four days if it goes"
        " on like this",
    )
    yield Alert(
        "VolumeFull",
        f"{full} > 0.9",
        15,
        "critical",
        "volume {{ $labels.persistentvolumeclaim }} in {{ $labels.namespace }} is"
        " {{ $value | humanizePercentage }} full",
    )


def _told_by_services(settings: Settings) -> Iterable[str]:
    """Yield what each service says that it uses, with the labels of its claim."""
    if settings.object_store.engine == "minio":
        yield _of(f'max(minio_cluster_usage_total_bytes{{namespace="{STORE}"}})', STORE, minio.CLAIM)
    used = f'sum by (namespace, pod) (cnpg_pg_database_size_bytes{{job="{POSTGRES}"}})'
    wal = f'sum by (namespace, pod) (cnpg_collector_pg_wal{{job="{POSTGRES}", value="size"}})'
    # an instance's claim has the name of its pod
    claims = f'label_replace({used} + {wal}, "persistentvolumeclaim", "$1", "pod", "(.+)")'
    yield f"sum by ({_CLAIM}) ({claims})"
    kept = "prometheus_tsdb_storage_blocks_bytes + prometheus_tsdb_wal_storage_size_bytes"
    yield (
        f"sum by ({_CLAIM}) (label_replace({kept}, "
        '"persistentvolumeclaim", "prometheus-monitoring-prometheus-db-$1", "pod", "(.+)"))'
    )


def _of(expression: str, namespace: str, claim: str) -> str:
    named = f'label_replace({expression}, "namespace", "{namespace}", "", "")'
    return f'label_replace({named}, "persistentvolumeclaim", "{claim}", "", "")'
