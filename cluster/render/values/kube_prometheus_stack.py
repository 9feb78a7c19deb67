"""Release kube-prometheus-stack: Prometheus, Alertmanager, Grafana.

Keys from the chart's values.yaml. The CRDs are not from here: they come with the cluster's base, so that other
phases need not wait for this release.
"""

from __future__ import annotations

from cluster.monitoring import routes
from cluster.monitoring.dashboards import DATASOURCE, LABEL
from cluster.monitoring.names import CLUSTER
from cluster.monitoring.rules import REPLACED, REPLACED_GROUPS
from cluster.monitoring.scrapes import SCRAPE_CLASS
from cluster.render.addresses import HTTPS_NODE_PORT
from cluster.render.values import Leaf, Values, resources
from cluster.settings.model import Settings

RELEASE = "monitoring"
"""Start of the names of what the release makes: the Prometheus is ``monitoring-prometheus``."""

SERVICE = f"{RELEASE}-prometheus"
SERVICE_PORT = 9090
"""The Prometheus' Service, in namespace ``monitoring``."""

GRAFANA_SERVICE = "grafana"

NODE_TEXTFILES = "/var/lib/inference-cloud/textfiles"
"""Folder on each node whose ``*.prom`` files its exporter reads: what ansible/certificate_metrics.yml writes."""

_SEEN_TEXTFILES = "/host/textfiles"
"""That folder inside the exporter's pod."""

_EXPORTER_ARGS = (
    r"--collector.filesystem.mount-points-exclude=^/(dev|proc|sys|run/containerd/.+|var/lib/docker/.+|var/lib/kubelet/.+)($|/)",
    "--collector.filesystem.fs-types-exclude=^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl"
    "|hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|sysfs|tracefs|erofs)$",
)
"""The chart's own: a list in the values takes the place of the chart's whole list."""

_NODE_LABEL = {"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "node"}
"""The chart's monitor tells a node by its address alone."""

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
    receivers: Leaf | None = None,
) -> Values:
    """Return the values.

    ``grafana_secret`` holds admin-user and admin-password; ``service_monitors``: whether the CRDs are there, without
    which the release cannot start; ``rules`` is a map of rule files; ``receivers`` is the Secret that
    ``cluster.monitoring.routes`` reads, None where no receiver needs one.
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
            "config": _routes(settings),
            "alertmanagerSpec": {
                "resources": resources("20m", "128Mi"),
                "storage": _claim(1024, storage_class),
                **({"secrets": [receivers]} if receivers is not None else {}),
            },
        },
        "additionalPrometheusRulesMap": rules,
        # what ours say better, or of which nobody shall hear twice
        "defaultRules": {
            "rules": dict.fromkeys(REPLACED_GROUPS, False),
            "disabled": dict.fromkeys(REPLACED, True),
        },
        "grafana": _grafana(grafana_secret, grafana_host),
        "kube-state-metrics": {"resources": resources("20m", "128Mi", memory_limit="256Mi")},
        "prometheus-node-exporter": _node_exporter(settings),
        **_control_plane(settings),
    }


def _prometheus(settings: Settings, storage_class: Leaf) -> Values:
    wish = settings.monitoring
    everything = {
        f"{kind}SelectorNilUsesHelmValues": False
        for kind in ("serviceMonitor", "podMonitor", "rule", "probe", "scrapeConfig")
    }
    return everything | {
        "externalLabels": {"cluster": CLUSTER},
        "scrapeClasses": [SCRAPE_CLASS],
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
                "label": next(iter(LABEL)),
                "labelValue": next(iter(LABEL.values())),
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


def _routes(settings: Settings) -> Values:
    told = frozenset(routes.secret_data(settings.secrets))
    return routes.config(settings.monitoring.alerts, routes.Files(told))


def _node_exporter(settings: Settings) -> Values:
    """Have nodes told by their names; where we install Kubernetes, textfiles are read as well."""
    found: Values = {
        "resources": resources("50m", "64Mi", memory_limit="128Mi"),
        "prometheus": {"monitor": {"relabelings": [_NODE_LABEL]}},
    }
    if settings.kubernetes.provisioner == "existing":
        return found
    folder = {"name": "textfiles", "hostPath": NODE_TEXTFILES, "type": "DirectoryOrCreate"}
    return found | {
        "extraArgs": [*_EXPORTER_ARGS, f"--collector.textfile.directory={_SEEN_TEXTFILES}"],
        "extraHostVolumeMounts": [folder | {"mountPath": _SEEN_TEXTFILES, "readOnly": True}],
    }


def _control_plane(settings: Settings) -> Values:
    """Say what of the control plane answers: a target that cannot answer is an alert that nobody can clear.

    Kubespray and kubeadm are told to let all of it be asked (``group_vars``, ``kubeadm-init.yaml.j2``). k3s runs it in
    one process, which the API server's monitor covers. Of a cluster that existed before nothing is known.
    """
    parts = ("kubeScheduler", "kubeControllerManager", "kubeEtcd", "kubeProxy")
    provisioner = settings.kubernetes.provisioner
    if provisioner not in ("kubespray", "kubeadm"):
        return {part: {"enabled": False} for part in parts}
    etcd: Values = {"enabled": True, "service": {"port": 2381, "targetPort": 2381}}
    if provisioner == "kubespray":
        # a service of the host there, not a pod that a selector would find (etcd_deployment_type: host)
        etcd["endpoints"] = [str(each.address) for each in settings.by_role("control-plane")]
    return {part: {"enabled": True} for part in parts} | {"kubeEtcd": etcd}
