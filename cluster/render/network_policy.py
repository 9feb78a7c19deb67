"""Who may open connections to whom inside the cluster: one table, and the NetworkPolicy of a namespace made from it.

Every namespace of ours refuses whatever the table does not name. What pods open themselves is not limited (DNS, the
internet), and a node may always talk to the pods on it, so kubelets' probes need no line here. Ports are the pods'
own, not their services'.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cluster.render import store_users
from cluster.render.values import minio, seaweedfs
from cluster.settings.model import Settings

NAME = "ingress"
"""Name of the policy in its namespace."""

GATEWAY, STORE, DATABASE, MODELS, MONITORING = (
    "envoy-gateway-system",
    "object-store",
    "database",
    "models",
    "monitoring",
)

_NAMESPACE_LABEL = "kubernetes.io/metadata.name"
"""Label that the API server gives every namespace, and that nobody can change."""


@dataclass(frozen=True)
class Edge:
    """``source`` may reach ``ports`` of ``target``'s pods: both namespaces; no source: anyone; no ports: every port."""

    source: str | None
    target: str
    ports: tuple[int, ...]
    why: str


def edges(settings: Settings) -> tuple[Edge, ...]:
    """Return every connection between namespaces, and inside one, that the stack needs."""
    store = minio.API_PORT if settings.object_store.engine == "minio" else seaweedfs.S3_PORT
    return (
        # Data.
        Edge("mlflow", DATABASE, (5432,), "runs, models and users"),
        Edge("cnpg-system", DATABASE, (8000,), "the operator asks each instance how it does"),
        Edge(DATABASE, DATABASE, (5432, 8000), "replication between instances"),
        *_archive(settings, store),
        Edge("mlflow", STORE, (store,), "artifacts"),
        Edge(MODELS, STORE, (store,), "models are fetched"),
        Edge(MODELS, "mlflow", (5000,), "models:/ URIs are looked up"),
        Edge(STORE, STORE, (), "the jobs that make buckets and users; the store's own parts"),
        # Asked from outside, and by the checks. A model's container chooses its port.
        Edge(None, GATEWAY, (10080, 10443), "the way in: Envoy's ports for 80 and 443"),
        Edge(GATEWAY, GATEWAY, (18000, 18001, 18002), "proxies get their configuration"),
        Edge(GATEWAY, "mlflow", (5000,), "route"),
        Edge(GATEWAY, MONITORING, (3000,), "route to Grafana"),
        Edge(GATEWAY, STORE, (store,), "route to S3: models are brought"),
        *_store_routes(settings),
        Edge(GATEWAY, MODELS, (), "routes to the models"),
        Edge("oumi", MODELS, (), "does each model answer"),
        Edge("performance", MODELS, (), "load tests"),
        # Webhooks. The API server calls from a node, and its address depends on the network plugin.
        *(
            Edge(None, target, (port,), "webhook, asked by the API server")
            for target, port in (
                ("cert-manager", 10250),
                ("cnpg-system", 9443),
                (GATEWAY, 9443),
                ("kserve", 9443),
                (MONITORING, 10250),
            )
        ),
        # Metrics.
        Edge(MONITORING, MONITORING, (), "Prometheus, Alertmanager, Grafana and exporters among themselves"),
        *(
            Edge(MONITORING, target, ports, "metrics")
            for target, ports in (
                ("cert-manager", (9402,)),
                ("cnpg-system", (8080,)),
                (DATABASE, (9187,)),
                (GATEWAY, (19001,)),
                ("gpu-operator", (8000, 8080, 9400)),
                ("mlflow", (5000,)),
                (MODELS, ()),
                (STORE, (store if settings.object_store.engine == "minio" else seaweedfs.METRICS_PORT,)),
            )
        ),
        Edge("gpu-operator", "gpu-operator", (), "node feature discovery and the operator's parts"),
    )


def _archive(settings: Settings, store: int) -> tuple[Edge, ...]:
    if not store_users.archives(settings):
        return ()
    return (
        Edge(DATABASE, STORE, (store,), "PostgreSQL's write-ahead log and base backups"),
        Edge("cnpg-system", "cnpg-system", (9090,), "the operator asks its backup plugin"),
    )


def _store_routes(settings: Settings) -> tuple[Edge, ...]:
    if settings.object_store.engine != "minio":
        return ()
    return (Edge(GATEWAY, STORE, (minio.CONSOLE_PORT,), "route to MinIO's console"),)


def spec(namespace: str, settings: Settings) -> dict[str, Any]:
    """Return the spec of a namespace's NetworkPolicy: nobody may in, but for the table's edges."""
    return {
        "podSelector": {},
        "policyTypes": ["Ingress"],
        "ingress": [_rule(edge) for edge in edges(settings) if edge.target == namespace],
    }


def _rule(edge: Edge) -> dict[str, Any]:
    rule: dict[str, Any] = {}
    if edge.source is not None:
        rule["from"] = [{"namespaceSelector": {"matchLabels": {_NAMESPACE_LABEL: edge.source}}}]
    if edge.ports:
        rule["ports"] = [{"protocol": "TCP", "port": port} for port in edge.ports]
    return rule
