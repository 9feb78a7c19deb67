"""Release cert-manager: certificates of the gateway and of the operators' webhooks.

Keys from the chart's values.yaml. The default installs no CRDs.
"""

from __future__ import annotations

from cluster.render.values import Leaf, Values, resources
from cluster.settings.model import Settings


def values(settings: Settings, *, service_monitors: Leaf) -> Values:
    """Return the values; ``service_monitors``: whether the Prometheus operator's CRDs are there."""
    mirror = settings.registry.mirror
    return {
        # keep: a removed release would otherwise take every certificate of the cluster with it
        "crds": {"enabled": True, "keep": True},
        **({"imageRegistry": mirror.rstrip("/")} if mirror else {}),
        "resources": resources("50m", "128Mi"),
        "webhook": {"resources": resources("20m", "64Mi")},
        "cainjector": {"resources": resources("50m", "256Mi")},
        "startupapicheck": {"resources": resources("20m", "64Mi")},
        # a certificate's own namespace, not that of cert-manager
        "prometheus": {"enabled": True, "servicemonitor": {"enabled": service_monitors, "honorLabels": True}},
    }
