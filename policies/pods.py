"""Where pods stand in Kubernetes objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from policies.model import Resource, reveal

_TEMPLATE = ("spec", "template", "spec")
_POD_SPECS: Mapping[str, tuple[str, ...]] = {
    "Pod": ("spec",),
    "CronJob": ("spec", "jobTemplate", *_TEMPLATE),
    "Deployment": _TEMPLATE,
    "StatefulSet": _TEMPLATE,
    "DaemonSet": _TEMPLATE,
    "ReplicaSet": _TEMPLATE,
    "ReplicationController": _TEMPLATE,
    "Job": _TEMPLATE,
    "InferenceService": ("spec", "predictor"),
}


@dataclass(frozen=True)
class Container:
    """A container of a pod template; ``kind`` is the object's, ``path`` says where it stands in the object."""

    path: str
    kind: str
    spec: Mapping[str, object]
    starts_first: bool = False

    @property
    def name(self) -> str:
        """The container's name as the object has it."""
        return str(self.spec.get("name", "?"))


def kind_of(type_: str) -> str:
    """Return ``Deployment`` of ``kubernetes:apps/v1:Deployment``."""
    return type_.rsplit(":", 1)[-1]


def pod_spec(resource: Resource) -> tuple[str, Mapping[str, object]] | None:
    """Return the path and the pod spec, without secrecy marks, of an object that makes pods; None for any other."""
    path = _POD_SPECS.get(kind_of(resource.type))
    found: object = resource.props
    for step in path or ():
        found = reveal(found)
        found = found.get(step) if isinstance(found, Mapping) else None
    found = reveal(found)
    return (".".join(path), found) if path and isinstance(found, Mapping) else None


def containers(resource: Resource) -> Iterator[Container]:
    """Yield the containers of an object that makes pods; a KServe predictor's model counts as one."""
    found = pod_spec(resource)
    if found is None:
        return
    path, spec = found
    kind = kind_of(resource.type)
    for section in ("initContainers", "containers"):
        listed = spec.get(section)
        for index, item in enumerate(listed if isinstance(listed, list) else []):
            if isinstance(item, Mapping):
                yield Container(f"{path}.{section}[{index}]", kind, item, section == "initContainers")
    model = spec.get("model")
    if kind == "InferenceService" and isinstance(model, Mapping):
        yield Container(f"{path}.model", kind, {"name": "model", **model})
