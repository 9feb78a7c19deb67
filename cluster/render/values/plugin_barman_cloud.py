"""Release plugin-barman-cloud: what CloudNativePG archives write-ahead logs and base backups by.

Keys from the chart's values.yaml. The plugin has to lie in the operator's namespace, and needs cert-manager: operator
and plugin speak TLS with certificates of an issuer of its own. CloudNativePG's own ``barmanObjectStore`` is deprecated
since 1.26.
"""

from __future__ import annotations

from cluster.render.container_images import Image, image
from cluster.render.values import Values, resources
from cluster.settings.model import Settings

NAME = "barman-cloud.cloudnative-pg.io"
"""What Clusters and Backups call the plugin."""


def values(settings: Settings) -> Values:
    """Return the values; the sidecar is the container beside each PostgreSQL that does the work."""
    return {
        "image": _image(image("plugin-barman-cloud", settings.registry)),
        "sidecarImage": _image(image("plugin-barman-cloud-sidecar", settings.registry)),
        "crds": {"create": True},
        "resources": resources("50m", "128Mi"),
    }


def _image(mine: Image) -> Values:
    return {"registry": mine.registry, "repository": mine.repository, "tag": mine.tag}
