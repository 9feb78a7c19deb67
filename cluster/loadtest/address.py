"""Where a served model answers from outside."""

from __future__ import annotations

from cluster.render.addresses import HTTPS_NODE_PORT
from cluster.render.inference_service import outside_host
from cluster.settings.model import Model, Settings


def gateway(model: Model, settings: Settings) -> str:
    """Return a model's URL on the gateway; its name has to point at any node."""
    return f"https://{outside_host(model, settings.serving.domain)}:{HTTPS_NODE_PORT}"
