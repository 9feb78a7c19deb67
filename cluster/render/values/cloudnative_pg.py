"""Release cloudnative-pg: the operator that runs PostgreSQL.

Keys from the chart's values.yaml.
"""

from __future__ import annotations

from cluster.render.container_images import image
from cluster.render.values import Leaf, Values, resources
from cluster.settings.model import Settings


def values(settings: Settings, *, service_monitors: Leaf) -> Values:
    """Return the values; ``service_monitors``: whether the Prometheus operator's CRDs are there."""
    mine = image("cloudnative-pg", settings.registry)
    return {
        "image": {"repository": mine.path, "tag": mine.tag},
        "crds": {"create": True},
        "resources": resources("100m", "256Mi"),
        "monitoring": {"podMonitorEnabled": service_monitors},
    }
