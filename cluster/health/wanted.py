"""Which services a stack has to have, and where inside the cluster each of them answers. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from cluster.health.model import Kind
from cluster.render import inference_service, names
from cluster.services.inside import DATABASE, MLFLOW, object_store
from cluster.services.reach import Inside
from cluster.settings.model import Model, Settings
from cluster.settings.served import standby_of


@dataclass(frozen=True)
class Wanted:
    """A service: ``path`` of a model's readiness, and why it is not asked where it is stopped on purpose.

    ``standby``: what answers in its place, and is asked where it does not.
    """

    name: str
    kind: Kind
    inside: Inside
    path: str = ""
    stopped: str = ""
    standby: Wanted | None = None


def wanted(settings: Settings) -> list[Wanted]:
    """Return the object store, the database, MLflow, and each model."""
    return [
        Wanted(settings.object_store.engine, "object-store", object_store(settings)),
        Wanted("postgresql", "database", DATABASE),
        Wanted("mlflow", "mlflow", MLFLOW),
        *map(_model, settings.served),
    ]


def _model(model: Model) -> Wanted:
    standby = standby_of(model)
    behind = _answering(standby, names.standby_name(model.name)) if standby else None
    stopped = "min_replicas is 0: it runs only while somebody lets it" if model.min_replicas == 0 else ""
    return replace(_answering(model, model.name), stopped=stopped, standby=behind)


def _answering(model: Model, service: str) -> Wanted:
    """Return where a model, or what stands by for it, answers: its path is the model's, whatever the service's name."""
    url = urlsplit(inference_service.ready_url(model))
    inside = Inside(inference_service.NAMESPACE, names.predictor(service), url.port or 80)
    return Wanted(model.name, "model", inside, url.path)
