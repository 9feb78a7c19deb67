"""CLOUD-2.1: what every later phase takes for granted of a fresh cluster: storage, CRDs, certificates, a gateway."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.storage.v1 import StorageClass

from cluster.render import disruption
from cluster.render.addresses import HTTP_NODE_PORT, HTTPS_NODE_PORT
from cluster.render.container_images import image
from cluster.render.values import cert_manager, envoy_gateway, resources
from cluster.settings import storage
from cluster.settings.model import Settings
from components import kube
from components.base import TaskComponent

LOCAL_PATH = "local-path"
"""The class that Kubespray's and k3s' local path provisioner bring along."""

GATEWAY_NAME = "cloud"
_CERTIFICATE = "gateway-tls"
_ISSUERS = "cert-manager.io/v1"
_PROXIES = {"app.kubernetes.io/managed-by": "envoy-gateway"}
"""Label that Envoy Gateway gives its proxies."""


@dataclass(frozen=True)
class ClusterBaseArgs:
    """``cluster_ready`` is known once every node is Ready."""

    settings: Settings
    cluster_ready: pulumi.Input[str]


class ClusterBase(TaskComponent):
    """Storage class, Prometheus operator's CRDs, cert-manager with a CA of its own, Envoy Gateway and the one Gateway.

    It makes no monitoring: only the CRDs, so that every phase can bring its monitors without waiting for Prometheus.

    ``storage_classes``: service -> name of the class for its volumes. ``service_monitors``: True, after the CRDs are
    there. ``issuer``: who signs with the cluster's own CA. ``gateway``: where routes attach.
    """

    storage_classes: dict[str, pulumi.Output[str]]
    service_monitors: pulumi.Output[bool]
    issuer: pulumi.Output[str]
    gateway: kube.Gateway

    def __init__(self, name: str, args: ClusterBaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        settings = args.settings
        props = {"storage_class": settings.kubernetes.storage_class, "domain": settings.serving.domain}
        super().__init__("cloud:kubernetes:Base", name, "CLOUD-2.1", props, opts)
        # the kubeconfig is there as soon as the first control plane is, pods only fit on nodes that are Ready
        ready = {"inference-cloud/nodes-ready": pulumi.Output.from_input(args.cluster_ready).apply(lambda _: "true")}
        crds_namespace = kube.namespace(self, settings, "cluster-base", "restricted", annotations=ready)
        crds = kube.release(
            self,
            "prometheus-operator-crds",
            "prometheus-operator-crds",
            kube.name_of(crds_namespace),
            {},
            settings,
        )
        self.service_monitors = kube.known_after(True, crds)
        self.storage_classes = self._storage_classes(settings)
        self.issuer = self._cert_manager(settings, ready)
        self.gateway = self._gateway(settings, self.issuer, ready)
        self.register_outputs(
            {
                "storage_classes": self.storage_classes,
                "gateway": self.gateway.name,
                "http_port": HTTP_NODE_PORT,
                "https_port": HTTPS_NODE_PORT,
            }
        )

    def _storage_classes(self, settings: Settings) -> dict[str, pulumi.Output[str]]:
        wanted = storage.classes(settings)
        made = {name: self._storage_class(name, settings) for name in sorted(set(wanted.values()))}
        return {service: made[name] for service, name in wanted.items()}

    def _storage_class(self, name: str, settings: Settings) -> pulumi.Output[str]:
        if name == LOCAL_PATH or settings.kubernetes.provisioner == "existing":
            return pulumi.Output.from_input(name)  # it is there
        # another name asks for volumes that outlive their claims, which the built-in class cannot be told
        made = StorageClass(
            name,
            metadata={"name": name},
            provisioner="rancher.io/local-path",
            reclaim_policy="Retain",
            volume_binding_mode="WaitForFirstConsumer",
            opts=self.child(),
        )
        return kube.known_after(name, made)

    def _cert_manager(self, settings: Settings, ready: dict[str, pulumi.Output[str]]) -> pulumi.Output[str]:
        """Return the name of the issuer that signs with the cluster's own CA."""
        where = kube.namespace(self, settings, "cert-manager", "restricted", annotations=ready)
        values = cert_manager.values(settings, service_monitors=self.service_monitors)
        manager = kube.release(self, "cert-manager", "cert-manager", kube.name_of(where), values, settings)
        root = kube.custom(
            self,
            "self-signed",
            (_ISSUERS, "ClusterIssuer"),
            {"name": "self-signed"},
            {"selfSigned": {}},
            # no value of the release goes in here, but its CRDs and its webhook must answer first
            depends_on=[manager],
        )
        authority = kube.custom(
            self,
            "cluster-ca",
            (_ISSUERS, "Certificate"),
            {"name": "cluster-ca", "namespace": kube.name_of(where)},
            {
                "isCA": True,
                "commonName": f"inference cloud {pulumi.get_stack()}",
                "secretName": "cluster-ca",
                "duration": "87600h",
                "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Never"},
                "issuerRef": {"kind": "ClusterIssuer", "name": kube.known_after("self-signed", root)},
            },
        )
        issuer = kube.custom(
            self,
            "cluster-ca-issuer",
            (_ISSUERS, "ClusterIssuer"),
            {"name": "cluster-ca"},
            {"ca": {"secretName": kube.known_after("cluster-ca", authority)}},
        )
        return kube.known_after("cluster-ca", issuer)

    def _gateway(
        self, settings: Settings, issuer: pulumi.Output[str], ready: dict[str, pulumi.Output[str]]
    ) -> kube.Gateway:
        space = kube.namespace(self, settings, "envoy-gateway-system", "restricted", annotations=ready)
        where = kube.name_of(space)
        values = envoy_gateway.values(settings)
        controller = kube.release(self, "envoy-gateway", "gateway-helm", where, values, settings)
        proxy = kube.custom(
            self,
            "envoy-proxy",
            ("gateway.envoyproxy.io/v1alpha1", "EnvoyProxy"),
            {"name": "cloud", "namespace": kube.known_after("envoy-gateway-system", space, controller)},
            _proxy_spec(settings),
        )
        class_ = kube.custom(
            self,
            "gateway-class",
            ("gateway.networking.k8s.io/v1", "GatewayClass"),
            {"name": "envoy"},
            {
                "controllerName": envoy_gateway.CONTROLLER,
                "parametersRef": {
                    "group": "gateway.envoyproxy.io",
                    "kind": "EnvoyProxy",
                    "name": kube.known_after("cloud", proxy),
                    "namespace": where,
                },
            },
        )
        certificate = kube.custom(
            self,
            "gateway-certificate",
            (_ISSUERS, "Certificate"),
            {"name": _CERTIFICATE, "namespace": where},
            {
                "secretName": _CERTIFICATE,
                "dnsNames": [settings.serving.domain, f"*.{settings.serving.domain}"],
                "issuerRef": {"kind": "ClusterIssuer", "name": issuer},
            },
        )
        gateway = kube.custom(
            self,
            "gateway",
            ("gateway.networking.k8s.io/v1", "Gateway"),
            {"name": GATEWAY_NAME, "namespace": where},
            {
                "gatewayClassName": kube.known_after("envoy", class_),
                "listeners": _listeners(settings, kube.known_after(_CERTIFICATE, certificate)),
            },
        )
        self._gateway_metrics(kube.known_after("envoy-gateway-system", space, gateway))
        return kube.Gateway(kube.known_after(GATEWAY_NAME, gateway), where, "https")

    def _gateway_metrics(self, where: pulumi.Output[str]) -> None:
        """Have the proxies' requests and latencies measured."""
        namespace = pulumi.Output.all(where, self.service_monitors).apply(lambda known: str(known[0]))
        kube.custom(
            self,
            "gateway-metrics",
            ("monitoring.coreos.com/v1", "PodMonitor"),
            {"name": "envoy-proxies", "namespace": namespace},
            {
                "selector": {"matchLabels": _PROXIES},
                "podMetricsEndpoints": [{"port": "metrics", "path": "/stats/prometheus"}],
            },
        )


def _proxy_spec(settings: Settings) -> dict[str, object]:
    """Node ports instead of a load balancer, and a pinned proxy image (keys from the EnvoyProxy API reference).

    Two proxies where there are nodes for them, and never none: everything from outside comes through them.
    """
    proxies = disruption.replicas(settings)
    ports = [
        {"name": "http-80", "port": 80, "nodePort": HTTP_NODE_PORT},
        {"name": "https-443", "port": 443, "nodePort": HTTPS_NODE_PORT},
    ]
    return {
        "provider": {
            "type": "Kubernetes",
            "kubernetes": {
                "envoyService": {
                    "type": "NodePort",
                    # by default a node without a proxy drops what it gets
                    "externalTrafficPolicy": "Cluster",
                    "patch": {"type": "StrategicMerge", "value": {"spec": {"ports": ports}}},
                },
                "envoyDeployment": {
                    "replicas": proxies,
                    "pod": {"topologySpreadConstraints": [disruption.spread(_PROXIES)]},
                    "container": {
                        "image": str(image("envoy", settings.registry)),
                        "resources": resources("200m", "256Mi", memory_limit="1Gi"),
                    },
                },
                **({"envoyPDB": {"minAvailable": 1}} if proxies > 1 else {}),
            },
        }
    }


def _listeners(settings: Settings, certificate: pulumi.Output[str]) -> list[dict[str, object]]:
    shared: dict[str, object] = {
        "hostname": f"*.{settings.serving.domain}",
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }
    tls = {"mode": "Terminate", "certificateRefs": [{"kind": "Secret", "name": certificate}]}
    return [
        {"name": "http", "port": 80, "protocol": "HTTP", **shared},
        {"name": "https", "port": 443, "protocol": "HTTPS", "tls": tls, **shared},
    ]
