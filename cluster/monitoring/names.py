"""Labels by which measurements are told apart: every rule, panel and scrape takes them from here."""

from __future__ import annotations

CLUSTER = "cloud"
"""Value of ``cluster`` on everything that this Prometheus measures itself; what is federated has the other's name."""

NODES = "node-exporter"
"""Label ``job`` of the node exporters on the cluster's nodes, as kube-prometheus-stack names it."""

HOST_NODE = "host-node"
HOST_LIBVIRT = "host-libvirt"
"""Label ``job`` of the exporters on the hypervisors; their label ``host`` is the host's name in the settings."""

TIMERS = "timers"
"""Label ``job`` of a node exporter that only reads the textfiles of our timers."""

TEXTFILES = f"{HOST_NODE}|{TIMERS}"
"""The jobs, as a regular expression, that may have read our timers' textfiles."""

STATE = "kube-state-metrics"
ETCD = "kube-etcd"
KUBELET = "kubelet"
API_SERVER = "apiserver"
CERT_MANAGER = "cert-manager"
POSTGRES = "database/postgres"
PROXIES = "envoy-gateway-system/envoy-proxies"
"""Labels ``job`` of the rest. Without a job label the operator takes NAMESPACE/NAME of a PodMonitor."""

MODELS = "models"
STORE = "object-store"
MLFLOW = "mlflow"
"""Namespaces whose pods are measured, where the job's name depends on the chart or on the model."""


def federated(other: str) -> str:
    """Return the job of the other cluster's Prometheus; its series keep their own behind ``OTHER/``."""
    return f"federate-{other}"
