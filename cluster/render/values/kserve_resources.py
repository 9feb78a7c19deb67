"""Release kserve-resources: KServe's controller and its configuration.

Keys from the chart's values.yaml. Mode Standard: plain Deployments behind the Gateway API, no Knative, no Istio.
"""

from __future__ import annotations

from cluster.render.container_images import Image, image
from cluster.render.values import Leaf, Values, resources
from cluster.settings.model import Settings


def values(settings: Settings, *, gateway: Leaf) -> Values:
    """Return the values; ``gateway`` is ``namespace/name`` of the Gateway that models are reached through."""
    registry = settings.registry
    storage = image("kserve-storage-initializer", registry)
    return {
        "kserve": {
            "agent": _parts(image("kserve-agent", registry)),
            "router": _parts(image("kserve-router", registry)),
            "storage": {
                **_parts(storage),
                # a download of tens of gigabytes keeps its page cache within this limit
                "resources": resources("100m", "256Mi", cpu_limit="2", memory_limit="4Gi"),
            },
            # the chart's default, written down: a route that goes over to a standby needs Services with an address
            "service": {"serviceClusterIPNone": False},
            "controller": {
                **_parts(image("kserve-controller", registry)),
                "imagePullPolicy": "IfNotPresent",
                "rbacProxyImage": str(image("kube-rbac-proxy", registry)),
                "deploymentMode": "Standard",
                "resources": resources("100m", "300Mi", cpu_limit="1"),
                "gateway": {
                    "domain": settings.serving.domain,
                    "disableIstioVirtualHost": True,
                    "ingressGateway": {
                        "enableGatewayApi": True,
                        "createGateway": False,
                        "kserveGateway": gateway,
                        "className": "envoy",
                    },
                },
            },
        }
    }


def _parts(mine: Image) -> Values:
    return {"image": mine.path, "tag": mine.tag}
