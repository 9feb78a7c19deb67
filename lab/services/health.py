"""Every service of a local stack, asked as ``cloudctl status`` asks the cluster's."""

from __future__ import annotations

from cluster.health import ask
from cluster.health.judge import judge
from cluster.health.model import Check
from lab.services.stack import Stack


def checks(stack: Stack) -> list[Check]:
    """Ask each service once."""
    found = [
        judge("minio", "object-store", ask.store(stack.hosts.store_url)),
        judge("postgresql", "database", ask.database(stack.database)),
        judge("mlflow", "mlflow", ask.mlflow(stack.mlflow)),
    ]
    return found + [judge(name, "model", ask.model(url, name)) for name, url in stack.models.items()]
