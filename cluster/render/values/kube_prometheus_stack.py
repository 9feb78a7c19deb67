"""Release kube-prometheus-stack: Prometheus, Alertmanager, Grafana.

Keys from the chart's values.yaml. The CRDs are not from here: they come with the cluster's base, so that other
phases need not wait for this release.
"""

from __future__ import annotations

from cluster.render.addresses import HTTPS_NODE_PORT
from cluster.render.values import Leaf, Values, resources
from cluster.settings.model import Settings

CLUSTER_LABEL = "cloud"
"""External label ``cluster`` of everything that this Prometheus measures."""

RELEASE = "monitoring"
"""Start of the names of what the release makes: the Prometheus is ``monitoring-prometheus``."""

SERVICE = f"{RELEASE}-prometheus"
SERVICE_PORT = 9090
"""The Prometheus' Service, in namespace ``monitoring``."""

GRAFANA_SERVICE = "grafana"

DATASOURCE = "prometheus"
"""uid of Grafana's data source."""

_USABLE = 0.85
"""Share of the volume that blocks may fill; the write-ahead log and compaction need the rest."""


def values(
    settings: Settings,
    *,
    grafana_secret: Leaf,
    grafana_host: str,
    storage_class: Leaf,
    service_monitors: Leaf,
    rules: Leaf,
) -> Values:
    """Return the values.

    ``grafana_secret`` holds admin-user and admin-password; ``service_monitors``: whether the CRDs are there, without
    which the release cannot start; ``rules`` is a map of rule files.
    """
    mirror = settings.registry.mirror
    return {
        **({"global": {"imageRegistry": mirror.rstrip("/")}} if mirror else {}),
        "fullnameOverride": RELEASE,
        "crds": {"enabled": False},
        "prometheusOperator": {
            "resources": resources("100m", "256Mi"),
            # both are off by default: without them the sidecars may take all of a node and be stuck unseen
            "prometheusConfigReloader": {"resources": resources("10m", "64Mi"), "enableProbe": True},
            "admissionWebhooks": {"patch": {"resources": resources("10m", "64Mi")}},
            "serviceMonitor": {"selfMonitor": service_monitors},
        },
        "prometheus": {"prometheusSpec": _prometheus(settings, storage_class)},
        "alertmanager": {
            "alertmanagerSpec": {
                "resources": resources("20m", "128Mi"),
                "storage": _claim(1024, storage_class),
            }
        },
        "additionalPrometheusRulesMap": rules,
        "grafana": _grafana(grafana_secret, grafana_host),
        "kube-state-metrics": {"resources": resources("20m", "128Mi", memory_limit="256Mi")},
        "prometheus-node-exporter": {"resources": resources("50m", "64Mi", memory_limit="128Mi")},
        **_control_plane(settings),
    }


def _prometheus(settings: Settings, storage_class: Leaf) -> Values:
    wish = settings.monitoring
    everything = {
        f"{kind}SelectorNilUsesHelmValues": False
        for kind in ("serviceMonitor", "podMonitor", "rule", "probe", "scrapeConfig")
    }
    return everything | {
        "externalLabels": {"cluster": CLUSTER_LABEL},
        "retention": f"{wish.retention_days}d",
        "retentionSize": f"{int(wish.size * _USABLE)}MiB",
        "storageSpec": _claim(wish.size, storage_class),
        "resources": resources("500m", "2Gi", memory_limit="4Gi"),
    }


def _claim(mib: int, storage_class: Leaf) -> Values:
    return {
        "volumeClaimTemplate": {
            "spec": {
                "storageClassName": storage_class,
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": f"{mib}Mi"}},
            }
        }
    }


def _grafana(secret: Leaf, host: str) -> Values:
    return {
        "fullnameOverride": GRAFANA_SERVICE,
        "admin": {"existingSecret": secret, "userKey": "admin-user", "passwordKey": "admin-password"},
        "resources": resources("100m", "256Mi", memory_limit="512Mi"),
        "sidecar": {
            "resources": resources("20m", "128Mi"),
            "dashboards": {
                "enabled": True,
                "label": "grafana_dashboard",
                "labelValue": "1",
                "searchNamespace": "ALL",
                "folderAnnotation": "grafana_folder",
                "provider": {"foldersFromFilesStructure": True},
            },
            "datasources": {"enabled": True, "uid": DATASOURCE},
        },
        "grafana.ini": {
            "server": {"domain": host, "root_url": f"https://{host}:{HTTPS_NODE_PORT}/"},
            "auth.anonymous": {"enabled": False},
            "analytics": {"reporting_enabled": False, "check_for_updates": False},
        },
    }


def _control_plane(settings: Settings) -> Values:
    """Say what of the control plane answers: a target that cannot answer is an alert that nobody can clear."""
    scheduler_and_manager = {part: {"enabled": False} for part in ("kubeScheduler", "kubeControllerManager")}
    if settings.kubernetes.provisioner == "k3s":
        # k3s runs all of them in one process, which the API server's monitor covers
        return scheduler_and_manager | {part: {"enabled": False} for part in ("kubeEtcd", "kubeProxy")}
    # Kubespray: etcd's metrics on port 2381; scheduler and controller manager listen on the node's loopback only
    return scheduler_and_manager | {"kubeEtcd": {"enabled": True, "service": {"port": 2381, "targetPort": 2381}}}
