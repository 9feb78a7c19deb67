"""Kubernetes objects as every phase writes them: namespaces, secrets, releases, routes, custom resources.

All take the component that they belong to; it gives them its providers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core.v1 import Namespace, PersistentVolumeClaim, Secret
from pulumi_kubernetes.helm.v3 import Release
from pulumi_kubernetes.networking.v1 import NetworkPolicy
from pydantic import SecretStr

from cluster.problems import InputError, Problem
from cluster.render import network_policy
from cluster.render.charts import chart_ref
from cluster.render.credentials import SecretData
from cluster.settings.model import Secrets, Settings
from components.base import TaskComponent

T = TypeVar("T")

PodSecurity = Literal["privileged", "baseline", "restricted"]
"""What pods of a namespace may do, after Kubernetes' pod security standards."""

_GATEWAY_API = "gateway.networking.k8s.io/v1"


@dataclass(frozen=True)
class Gateway:
    """The Gateway through which everything is reached: its name, namespace and the listener for consoles."""

    name: pulumi.Output[str]
    namespace: pulumi.Output[str]
    https_listener: str


@dataclass(frozen=True)
class Keeper:
    """How objects that hold data are made, so that it outlives them in the stack.

    ``provider`` takes up what an earlier ``up`` left instead of refusing it; ``retain``: a destroy leaves it.
    """

    provider: pulumi.ProviderResource
    retain: bool

    def options(self) -> pulumi.ResourceOptions:
        """Return what goes into the options of such an object, and of the namespace around it."""
        return pulumi.ResourceOptions(provider=self.provider, retain_on_delete=self.retain)


def known_after(value: T, *resources: pulumi.CustomResource) -> pulumi.Output[T]:
    """Return a value that is known in preview already, and whose users wait for the resources all the same."""
    return pulumi.Output.all(*[resource.urn for resource in resources]).apply(lambda _: value)


def sealed(settings: Settings) -> Secrets:
    """Return the stack's secrets; InputError where it has none yet."""
    if settings.secrets is None:
        remedy = f"make them: cloudctl init {pulumi.get_stack()}"
        raise InputError("settings", [Problem("secrets", None, "are missing", remedy)])
    return settings.secrets


def namespace(
    owner: TaskComponent,
    settings: Settings,
    name: str,
    level: PodSecurity,
    *,
    annotations: Mapping[str, pulumi.Input[str]] | None = None,
    depends_on: Iterable[pulumi.Resource] = (),
    keeper: Keeper | None = None,
) -> Namespace:
    """Make a namespace whose pods are held to a pod security level, and reached only as ``network_policy`` says.

    What would break ``restricted`` is only warned of.
    """
    labels = {
        "app.kubernetes.io/part-of": "inference-cloud",
        "pod-security.kubernetes.io/enforce": level,
        "pod-security.kubernetes.io/warn": "restricted" if level != "privileged" else level,
    }
    made = Namespace(
        name,
        metadata={"name": name, "labels": labels, **({"annotations": dict(annotations)} if annotations else {})},
        opts=owner.child(keeper.options() if keeper else None, depends_on=depends_on),
    )
    NetworkPolicy(
        f"{name}-ingress",
        metadata={"name": network_policy.NAME, "namespace": name_of(made)},
        spec=network_policy.spec(name, settings),
        opts=owner.child(),
    )
    return made


def name_of(made: Namespace) -> pulumi.Output[str]:
    """Return the name of a namespace that ``namespace`` made; whatever takes it waits for the namespace.

    It is the last part of the URN, and so known in preview where an annotation is not.
    """
    urn: pulumi.Output[str] = made.urn
    return urn.apply(lambda known: known.rpartition("::")[2])


def secret_of(owner: TaskComponent, where: pulumi.Input[str], wanted: SecretData) -> Secret:
    """Make a Secret as ``cluster.render.credentials`` describes it."""
    return secret(owner, wanted.name, where, wanted.data, annotations=wanted.annotations or None)


def secret(
    owner: TaskComponent,
    name: str,
    where: pulumi.Input[str],
    data: Mapping[str, str | SecretStr | pulumi.Output[str]],
    *,
    annotations: Mapping[str, pulumi.Input[str]] | None = None,
    resource_name: str | None = None,
) -> Secret:
    """Make a Secret; every value of ``data`` is encrypted in the state, whatever it is."""
    plain = {key: value.get_secret_value() if isinstance(value, SecretStr) else value for key, value in data.items()}
    return Secret(
        resource_name or name,
        metadata={"name": name, "namespace": where, **({"annotations": dict(annotations)} if annotations else {})},
        type="Opaque",
        string_data={key: pulumi.Output.secret(value) for key, value in plain.items()},
        opts=owner.child(),
    )


def release(
    owner: TaskComponent,
    name: str,
    chart: str,
    where: pulumi.Input[str],
    values: Mapping[str, Any],
    settings: Settings,
    *,
    timeout_s: int = 600,
    depends_on: Iterable[pulumi.Resource] = (),
) -> Release:
    """Make a Helm release of a pinned chart; a failed install or upgrade is rolled back and fails the update."""
    ref = chart_ref(chart, settings.charts)
    return Release(
        name,
        name=name,
        chart=ref.chart,
        version=ref.version,
        repository_opts={"repo": ref.repository} if ref.repository else None,
        namespace=where,
        values=dict(values),
        atomic=True,
        cleanup_on_fail=True,
        timeout=timeout_s,
        opts=owner.child(depends_on=depends_on),
    )


def custom(
    owner: TaskComponent,
    name: str,
    kind: tuple[str, str],
    metadata: Mapping[str, Any],
    spec: Mapping[str, Any],
    *,
    depends_on: Iterable[pulumi.Resource] = (),
    keeper: Keeper | None = None,
) -> CustomResource:
    """Make a custom resource; ``kind`` is (apiVersion, kind)."""
    return CustomResource(
        name,
        api_version=kind[0],
        kind=kind[1],
        metadata=dict(metadata),
        spec=dict(spec),
        opts=owner.child(keeper.options() if keeper else None, depends_on=depends_on),
    )


def volume_claim(
    owner: TaskComponent,
    name: str,
    where: pulumi.Input[str],
    size_mib: int,
    storage_class: pulumi.Input[str],
    keeper: Keeper,
) -> PersistentVolumeClaim:
    """Make the claim on a volume that one pod writes. It is ours and no chart's: a release that goes takes no data."""
    return PersistentVolumeClaim(
        name,
        # such a claim is bound when its first pod comes, and that waits for the claim
        metadata={"name": name, "namespace": where, "annotations": {"pulumi.com/skipAwait": "true"}},
        spec={
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage_class,
            "resources": {"requests": {"storage": f"{size_mib}Mi"}},
        },
        opts=owner.child(keeper.options()),
    )


def console_route(
    owner: TaskComponent,
    name: str,
    where: pulumi.Input[str],
    host: str,
    backend: tuple[pulumi.Input[str], int],
    gateway: Gateway,
    *,
    slow: bool = False,
) -> CustomResource:
    """Route an outside name to a service (name, port); only over TLS, because people log in there. ``slow``: a request
    may take as long as it takes.
    """
    service, port = backend
    parent = {"name": gateway.name, "namespace": gateway.namespace, "sectionName": gateway.https_listener}
    rule = {"backendRefs": [{"name": service, "port": port}], **({"timeouts": {"request": "0s"}} if slow else {})}
    return custom(
        owner,
        name,
        (_GATEWAY_API, "HTTPRoute"),
        {"name": name, "namespace": where},
        {"parentRefs": [parent], "hostnames": [host], "rules": [rule]},
    )


def restricted_container(
    name: str,
    image: str,
    command: Sequence[str],
    *,
    resources: Mapping[str, Any],
    env: Sequence[Mapping[str, Any]] = (),
    mounts: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return a container of a job of ours that fits the ``restricted`` level; it writes to its mounts only."""
    return {
        "name": name,
        "image": image,
        "command": list(command),
        "env": list(env),
        "volumeMounts": list(mounts),
        "resources": dict(resources),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def restricted_pod(containers: Sequence[Mapping[str, Any]], volumes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a job's pod spec that fits the ``restricted`` level."""
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": list(containers),
        "volumes": list(volumes),
    }
