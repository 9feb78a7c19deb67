"""Release gateway-helm: Envoy Gateway, which also brings the Gateway API's CRDs.

Keys from the chart's values.yaml. The image of the proxies themselves is set in the EnvoyProxy resource.
"""

from __future__ import annotations

from cluster.render.values import Values, resources
from cluster.settings.model import Settings

CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
"""Name by which a GatewayClass says that Envoy Gateway serves it."""


def values(settings: Settings) -> Values:
    """Return the values."""
    mirror = settings.registry.mirror
    return {
        **({"global": {"imageRegistry": mirror.rstrip("/")}} if mirror else {}),
        "crds": {"enabled": True},
        "deployment": {"envoyGateway": {"resources": resources("100m", "256Mi", memory_limit="1Gi")}},
        "config": {
            "envoyGateway": {
                "gateway": {"controllerName": CONTROLLER},
                # off by default, because a Backend may name any address: only where a route has to go over to a standby
                **({"extensionApis": {"enableBackend": True}} if settings.standbys else {}),
            }
        },
        "certgen": {"job": {"resources": resources("20m", "64Mi")}},
    }
