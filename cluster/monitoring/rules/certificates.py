"""Certificates that end: of cert-manager, of kubelets, of the API server's clients, in files on control planes."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.monitoring.names import API_SERVER, CERT_MANAGER, KUBELET, NODES
from cluster.monitoring.rules.rule import HOUR, Alert, Rule, running_out
from cluster.settings.model import Settings

FILES = "inference_cloud_certificate_not_after_timestamp_seconds"
"""When the certificate in a file on a control plane ends, etcd's among them (ansible/files/certificate-metrics.sh)."""


def rules(settings: Settings) -> Iterable[Rule]:
    """Yield them; files on control planes are only looked at where we install Kubernetes."""
    yield from running_out(
        "CertificateExpires",
        f'certmanager_certificate_expiration_timestamp_seconds{{job="{CERT_MANAGER}"}} - time()',
        "certificate {{ $labels.namespace }}/{{ $labels.name }} ends in {{ $value | humanize }} days",
    )
    yield Alert(
        "CertificateNotReady",
        f'certmanager_certificate_ready_status{{job="{CERT_MANAGER}", condition="False"}} == 1',
        15,
        "warning",
        "certificate {{ $labels.namespace }}/{{ $labels.name }} could not be issued or renewed",
    )
    yield from running_out(
        "KubeletCertificateExpires",
        f'label_replace({_kubelet("client")}, "side", "client", "", "")'
        f' or label_replace({_kubelet("server")}, "side", "server", "", "")',
        "the {{ $labels.side }} certificate of kubelet {{ $labels.node }} ends in {{ $value | humanize }} days",
    )
    asked = f'apiserver_client_certificate_expiration_seconds_bucket{{job="{API_SERVER}"}}'
    yield from running_out(
        "ApiClientCertificateExpires",
        f"histogram_quantile(0.01, sum by (le) (rate({asked}[1h])))",
        "a client of the API server logs in with a certificate that ends in about {{ $value | humanize }} days",
    )
    if settings.kubernetes.provisioner != "existing":
        yield from running_out(
            "ControlPlaneCertificateExpires",
            f'{FILES}{{job="{NODES}"}} - time()',
            "certificate {{ $labels.path }} on {{ $labels.node }} ends in {{ $value | humanize }} days",
        )
        yield Alert(
            "CertificatesNotMeasured",
            # measured every hour; an exporter goes on with what it read last
            f'time() - node_textfile_mtime_seconds{{job="{NODES}", file=~".*/certificates[.]prom"}} > {6 * HOUR}'
            f' or absent({FILES}{{job="{NODES}"}})',
            60,
            "warning",
            "nobody measures any more when the certificates of"
            " {{ if $labels.node }}{{ $labels.node }}{{ else }}the control planes{{ end }} end",
        )


def _kubelet(side: str) -> str:
    return f'kubelet_certificate_manager_{side}_ttl_seconds{{job="{KUBELET}"}}'
