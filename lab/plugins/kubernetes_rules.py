"""What the Kubernetes provider and its API server hold for immutable, cluster-wide or built in, and the charts' CRDs.

Replacement rules: pulumi-kubernetes, ``provider/pkg/provider/diff.go``. Charts: the CRDs that the projects document
for the pins in ``cluster.versions``; a test sees to it that every pinned chart has its row.
"""

from __future__ import annotations

from dataclasses import dataclass

_SELECTOR = ("spec.selector",)
_METADATA = ("metadata.name", "metadata.namespace")

FORCED: dict[tuple[str, str], tuple[str, ...]] = {
    ("apps", "DaemonSet"): _SELECTOR,
    ("apps", "Deployment"): _SELECTOR,
    ("apps", "StatefulSet"): (
        *_SELECTOR,
        *("spec.podManagementPolicy", "spec.revisionHistoryLimit", "spec.serviceName", "spec.volumeClaimTemplates"),
    ),
    ("batch", "Job"): (*_SELECTOR, "spec.completions", "spec.parallelism", "spec.template"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): ("roleRef",),
    ("rbac.authorization.k8s.io", "RoleBinding"): ("roleRef",),
    ("storage.k8s.io", "StorageClass"): ("parameters", "provisioner"),
    ("", "PersistentVolumeClaim"): (
        *_SELECTOR,
        *("spec.accessModes", "spec.storageClassName", "spec.volumeName"),
    ),
    ("", "Pod"): ("spec",),
    ("", "ResourceQuota"): ("spec.scopes",),
    ("", "Secret"): ("type",),
    ("", "Service"): ("spec.clusterIP",),
}

_WHOLE_CLUSTER = frozenset(
    {
        *("APIService", "CSIDriver", "ClusterIssuer", "ClusterImageCatalog", "ClusterPolicy", "ClusterRole"),
        *("ClusterRoleBinding", "ClusterServingRuntime", "ClusterStorageContainer", "CustomResourceDefinition"),
        *("GatewayClass", "IngressClass", "LocalModelCache", "LocalModelNode", "LocalModelNodeGroup"),
        *("MutatingWebhookConfiguration", "NVIDIADriver", "Namespace", "Node", "NodeFeatureRule", "PersistentVolume"),
        *("PriorityClass", "RuntimeClass", "StorageClass", "ValidatingAdmissionPolicy"),
        *("ValidatingWebhookConfiguration", "VolumeAttachment"),
    }
)

_BUILT_IN = frozenset({"", "apps", "autoscaling", "batch", "policy"}) | {
    f"{group}.k8s.io"
    for group in (
        *("admissionregistration", "apiextensions", "apiregistration", "authentication", "authorization"),
        *("certificates", "coordination", "discovery", "events", "flowcontrol.apiserver", "networking", "node"),
        *("rbac.authorization", "resource", "scheduling", "storage", "storagemigration"),
    )
}

NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
"""Namespaces that every cluster starts with."""


def forced_paths(group: str, kind: str, *, mutable: bool) -> tuple[str, ...]:
    """Return the paths whose change replaces an object; ``mutable``: a Secret's or ConfigMap's data may change."""
    paths = _METADATA + FORCED.get((group, kind), ())
    if group == "" and kind == "Secret" and not mutable:
        paths += ("data", "stringData")
    if group == "" and kind == "ConfigMap" and not mutable:
        paths += ("data", "binaryData")
    return paths


def namespaced(kind: str) -> bool:
    """Whether objects of a kind live in a namespace."""
    return kind not in _WHOLE_CLUSTER


def built_in(group: str) -> bool:
    """Whether the API server knows a group without any CRD."""
    return group in _BUILT_IN


@dataclass(frozen=True)
class ChartCrds:
    """The CRDs of a chart, as GROUP/KIND.

    ``switch`` is the values path that installs them and its default, None where they always come; ``kept`` says that
    they stay when the release goes (``crds/`` folder, or a keep policy). ``needs`` must be there before the chart.
    """

    kinds: tuple[str, ...] = ()
    switch: tuple[str, bool] | None = None
    kept: bool = False
    needs: tuple[str, ...] = ()


def _of(group: str, *kinds: str) -> tuple[str, ...]:
    return tuple(f"{group}/{kind}" for kind in kinds)


_MONITORING = _of(
    "monitoring.coreos.com",
    *("Alertmanager", "AlertmanagerConfig", "PodMonitor", "Probe", "Prometheus", "PrometheusAgent"),
    *("PrometheusRule", "ScrapeConfig", "ServiceMonitor", "ThanosRuler"),
)
_GATEWAY = _of(
    "gateway.networking.k8s.io",
    *("BackendTLSPolicy", "GRPCRoute", "Gateway", "GatewayClass", "HTTPRoute", "ReferenceGrant"),
    *("TCPRoute", "TLSRoute", "UDPRoute"),
) + _of(
    "gateway.envoyproxy.io",
    *("Backend", "BackendTrafficPolicy", "ClientTrafficPolicy", "EnvoyExtensionPolicy", "EnvoyPatchPolicy"),
    *("EnvoyProxy", "HTTPRouteFilter", "SecurityPolicy"),
)

CHART_CRDS: dict[str, ChartCrds] = {
    "prometheus-operator-crds": ChartCrds(_MONITORING),
    "kube-prometheus-stack": ChartCrds(
        _MONITORING,
        ("crds.enabled", True),
        kept=True,
        needs=_of("monitoring.coreos.com", "Prometheus", "PrometheusRule", "ServiceMonitor"),
    ),
    "cert-manager": ChartCrds(
        _of("cert-manager.io", "Certificate", "CertificateRequest", "ClusterIssuer", "Issuer")
        + _of("acme.cert-manager.io", "Challenge", "Order"),
        ("crds.enabled", False),
        kept=True,
    ),
    "gateway-helm": ChartCrds(_GATEWAY, kept=True),
    "cloudnative-pg": ChartCrds(
        _of(
            "postgresql.cnpg.io",
            *("Backup", "Cluster", "ClusterImageCatalog", "Database", "FailoverQuorum", "ImageCatalog", "Pooler"),
            *("Publication", "ScheduledBackup", "Subscription"),
        ),
        ("crds.create", True),
        kept=True,
    ),
    "plugin-barman-cloud": ChartCrds(
        _of("barmancloud.cnpg.io", "ObjectStore"),
        ("crds.create", True),
        needs=_of("cert-manager.io", "Certificate", "Issuer"),
    ),
    "minio": ChartCrds(),
    "seaweedfs": ChartCrds(),
    "mlflow": ChartCrds(),
    "kserve-crd": ChartCrds(
        _of(
            "serving.kserve.io",
            *("ClusterServingRuntime", "ClusterStorageContainer", "InferenceGraph", "InferenceService"),
            *("LocalModelCache", "LocalModelNode", "LocalModelNodeGroup", "ServingRuntime", "TrainedModel"),
        )
    ),
    "kserve-resources": ChartCrds(
        needs=_of("serving.kserve.io", "ClusterStorageContainer") + _of("cert-manager.io", "Certificate", "Issuer")
    ),
    "kserve-runtime-configs": ChartCrds(needs=_of("serving.kserve.io", "ClusterServingRuntime")),
    "gpu-operator": ChartCrds(
        _of("nvidia.com", "ClusterPolicy", "NVIDIADriver")
        + _of("nfd.k8s-sigs.io", "NodeFeature", "NodeFeatureGroup", "NodeFeatureRule"),
        kept=True,
    ),
}
