"""Kubernetes, its installer and every chart are versions that go together, by ``cluster.versions``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cluster.versions import (
    CHARTS,
    KUBERNETES_DEFAULT,
    KUBERNETES_FLOOR,
    KUBESPRAY,
    Chart,
    Minor,
    installs,
    minor_of,
    show,
)
from policies.model import UNKNOWN, Config, Plan, Policy, Resource, Violation, reveal

CLUSTER = "cloud:kubernetes:Cluster"
RELEASE = "kubernetes:helm.sh/v3:Release"


def check(resource: Resource, plan: Plan, config: Config) -> Iterator[Violation]:
    """Judge the installer's and Kubernetes' versions, or a chart's version."""
    yield from _cluster(resource) if resource.type == CLUSTER else _release(resource, config)


def check_stack(plan: Plan, config: Config) -> Iterator[Violation]:
    """Judge whether every chart of the plan supports the Kubernetes of the plan."""
    for cluster in plan.of(CLUSTER):
        version = cluster.props.get("version")
        minor = _minor(version)
        if minor is None:
            continue  # the cluster was refused for it
        for release in plan.of(RELEASE):
            chart = CHARTS.get(_chart_name(release.props.get("chart")) or "")
            if chart and not _supports(chart, minor):
                yield Violation(
                    f"{release.name}: chart {chart.name} {chart.version} supports Kubernetes {_range(chart)}, the plan"
                    f" has {version}; choose a Kubernetes in that range",
                    release.urn,
                )


def _cluster(resource: Resource) -> Iterator[Violation]:
    props = {key: resource.props.get(key) for key in ("provisioner", "version", "kubespray", "k3s")}
    unknown = [key for key, value in props.items() if value is UNKNOWN]
    minor = _minor(props["version"])
    if unknown or minor is None:
        what = ", ".join(unknown) or f"version {props['version']!r}"
        yield Violation(
            f"{resource.name}: {what} cannot be read before the update; pass versions such as 1.34.3 as plain values"
        )
    elif minor < minor_of(KUBERNETES_FLOOR):
        yield Violation(f"Kubernetes {props['version']} is older than {KUBERNETES_FLOOR}; choose {KUBERNETES_DEFAULT}")
    elif props["provisioner"] == "kubespray":
        yield from _kubespray(str(props["kubespray"]), str(props["version"]))
    elif props["provisioner"] == "k3s" and props["k3s"] is not None and _minor(props["k3s"]) != minor:
        yield Violation(
            f"k3s {props['k3s']} is not Kubernetes {props['version']}; name the k3s release of that version"
        )


def _kubespray(tag: str, version: str) -> Iterator[Violation]:
    release = KUBESPRAY.get(tag)
    if release is None:
        yield Violation(f"Kubespray {tag} is not one that was checked; choose {', '.join(KUBESPRAY)}")
    elif not installs(tag, version):
        low, high = release.minors
        fitting = [other for other in KUBESPRAY if installs(other, version)]
        instead = f" or Kubespray {fitting[-1]}" if fitting else ""
        yield Violation(
            f"Kubespray {tag} cannot install Kubernetes {version}: it installs {show(low)} to {show(high)};"
            f" choose Kubernetes {release.kubernetes}{instead}"
        )


def _release(resource: Resource, config: Config) -> Iterator[Violation]:
    name, version = _chart_name(resource.props.get("chart")), reveal(resource.props.get("version"))
    if name is None or version is UNKNOWN:
        yield Violation(f"{resource.name}: chart or version is not known before the update; pass plain values")
        return
    pinned = CHARTS.get(name)
    more = config.get("more_charts")
    others = more.get(name, ()) if isinstance(more, Mapping) else ()
    if version in others or (pinned and version == pinned.version):
        return
    if pinned is None and not others:
        yield Violation(
            f"{resource.name}: chart {name} is not pinned; add it to cluster/versions/charts.py, or to the policy"
            " pack's configuration: versions.more_charts"
        )
    else:
        wanted = ", ".join([*([pinned.version] if pinned else []), *map(str, others)])
        has = f"has version {version}" if version else "names no version"
        yield Violation(f"{resource.name}: chart {name} {has}, but {wanted} was checked; use that")


def _chart_name(chart: object) -> str | None:
    """Return ``minio`` of ``minio``, ``oci://mirror/minio`` or ``/charts/minio-5.4.0.tgz``; None where not known."""
    text = reveal(chart)
    if not isinstance(text, str) or not text:
        return None
    last = text.rstrip("/").rsplit("/", 1)[-1]
    if not last.endswith(".tgz"):
        return last
    packed = last.removesuffix(".tgz")
    return next((name for name in sorted(CHARTS, key=len, reverse=True) if packed.startswith(f"{name}-")), packed)


def _minor(version: object) -> Minor | None:
    try:
        return minor_of(str(version))
    except ValueError:
        return None


def _supports(chart: Chart, minor: Minor) -> bool:
    low, high = chart.minors
    return (low is None or low <= minor) and (high is None or minor <= high)


def _range(chart: Chart) -> str:
    low, high = chart.minors
    return f"{show(low) if low else 'any'} to {show(high)}" if high else f"{show(low) if low else 'any'} and newer"


POLICY = Policy(
    name="versions",
    level="mandatory",
    description="Kubernetes, its installer and every chart are checked versions that go together.",
    types=frozenset({CLUSTER, RELEASE}),
    check=check,
    check_stack=check_stack,
    config={
        "more_charts": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
            "description": "versions of charts that are allowed beside the pinned ones: {chart: [version, ...]}",
        }
    },
)
