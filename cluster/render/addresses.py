"""Names and ports under which services are reached from outside the cluster: all through one Gateway.

The proxies answer on every node at two node ports, because a cluster of VMs has no load balancer to ask for an address.
"""

from __future__ import annotations

from cluster.settings.model import Settings

HTTP_NODE_PORT = 30080
HTTPS_NODE_PORT = 30443


def host(service: str, settings: Settings) -> str:
    """Return the DNS name of a service, e.g. ``grafana.models.internal``; it has to point at any node."""
    return f"{service}.{settings.serving.domain}"


def url(service: str, settings: Settings) -> str:
    """Return the URL of a service from outside."""
    return f"https://{host(service, settings)}:{HTTPS_NODE_PORT}"
