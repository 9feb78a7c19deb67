"""How a model's route goes over to its standby: by Envoy's own priorities and health checks, no controller of ours.

Envoy Gateway's ``Backend`` with ``fallback: true`` becomes the second priority of the route's one Envoy cluster, which
gets requests when the first has no healthy endpoint. Read in Envoy Gateway v1.9.0 (internal/gatewayapi/route.go,
internal/ir/xds.go, internal/xds/translator):

- All backends of the rule have to be of one kind. A Service beside a ``Backend`` makes a cluster for each, and
  priorities count within one only; and a Service without ready endpoints is answered with 503 for its share, which is
  the very case here. So the model and the version under test are ``Backend`` too, each by its Service's DNS name.
- The name leads to the Service's own address, so kube-proxy chooses among ready pods, and refuses where there is none.
  That needs a Service with an address (``serviceClusterIPNone: false`` in KServe's chart).
- The health check opens a connection. It asks no path: the standby is another server and knows other paths, and whether
  a pod is ready is for its readiness probe.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cluster.render.names import candidate_name, predictor, standby_name
from cluster.settings.model import Model

API = "gateway.envoyproxy.io/v1alpha1"
_GROUP = API.partition("/")[0]
_PORT = 80


def backends(model: Model, namespace: str) -> dict[str, dict[str, Any]]:
    """Return name -> spec of the Backends of a model with a standby: itself, a version under test, the standby."""
    services = (model.name, candidate_name(model.name), standby_name(model.name))
    return {predictor(service): _backend(predictor(service), namespace, model) for service in services}


def refs(model: Model, shares: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return the backendRefs of a route: those with a share of the requests, and the standby behind them."""
    weights = {**shares, predictor(standby_name(model.name)): 1}
    return [
        {"group": _GROUP, "kind": "Backend", "name": name, "port": _PORT, "weight": weight}
        for name, weight in weights.items()
    ]


def health_policy(route: str) -> dict[str, Any]:
    """Return the spec of a route's BackendTrafficPolicy: unhealthy after two failed connections, five seconds apart."""
    active = {
        "type": "TCP",
        "tcp": {},
        "timeout": "2s",
        "interval": "5s",
        "unhealthyThreshold": 2,
        "healthyThreshold": 1,
    }
    target = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": route}
    return {"targetRefs": [target], "healthCheck": {"active": active}}


def _backend(service: str, namespace: str, model: Model) -> dict[str, Any]:
    host = f"{service}.{namespace}.svc.cluster.local"
    fallback = {"fallback": True} if service == predictor(standby_name(model.name)) else {}
    return {"endpoints": [{"fqdn": {"hostname": host, "port": _PORT}}], **fallback}
