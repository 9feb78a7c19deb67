"""Versions that do not go together."""

from __future__ import annotations

from collections.abc import Iterator

from cluster import versions
from cluster.problems import Problem
from cluster.settings.draft import Draft, Part
from cluster.settings.model import Kubernetes
from cluster.versions import KUBESPRAY, Chart, minor_of, show


def check(draft: Draft) -> Iterator[Problem]:
    """Yield the problems of the kubernetes section with its installer and the pinned charts."""
    section = draft.kubernetes
    if section is None or not section.has("provisioner", "version"):
        return
    gpus = draft.gpu_total() != 0
    found: list[Problem] = []
    if section.value.provisioner == "kubespray" and section.has("kubespray"):
        found += _kubespray(section.value, gpus)
    if section.value.provisioner == "k3s" and section.has("k3s"):
        found += _k3s(section)
    if not any(problem.path == "kubernetes.version" for problem in found):
        found += _charts(section.value, gpus)  # the installer's remedy minds the charts already
    yield from found


def _kubespray(kubernetes: Kubernetes, gpus: bool) -> Iterator[Problem]:
    tag, version = kubernetes.kubespray, kubernetes.version
    near_tag, near_version = versions.nearest_tuple(tag, version, gpus=gpus)
    remedy = f"write kubernetes.kubespray: {near_tag} and kubernetes.version: {near_version}"
    release = KUBESPRAY.get(tag)
    if release is None:
        reason = f"is not a Kubespray release that this project knows ({', '.join(KUBESPRAY)})"
        yield Problem("kubernetes.kubespray", tag, reason, remedy)
    elif not versions.installs(tag, version):
        low, high = release.minors
        reason = f"cannot be installed by Kubespray {tag}, which installs {show(low)} to {show(high)}"
        if minor_of(version) == minor_of(versions.KUBERNETES_FLOOR):
            reason += f" ({versions.KUBERNETES_FLOOR} is the requirement's floor, not a version to install)"
        yield Problem("kubernetes.version", version, reason, remedy)


def _k3s(section: Part[Kubernetes]) -> Iterator[Problem]:
    k3s, version = section.value.k3s, section.value.version
    try:
        minor = minor_of(k3s)
    except ValueError:
        yield Problem("kubernetes.k3s", k3s, "is not a k3s release", f"write for example {versions.K3S_DEFAULT}")
        return
    if minor != minor_of(version):
        reason = f"is Kubernetes {show(minor)}, but kubernetes.version is {version}"
        yield Problem(
            "kubernetes.k3s", k3s, reason, f"write kubernetes.k3s: v{version}+k3s1, or change kubernetes.version"
        )


def _charts(kubernetes: Kubernetes, gpus: bool) -> Iterator[Problem]:
    conflicts = versions.chart_conflicts(kubernetes.version, gpus=gpus)
    if not conflicts:
        return
    low, high = versions.chart_range(gpus=gpus)
    named = ", ".join(f"{chart.name} {chart.version} ({_bounds(chart)})" for chart in conflicts)
    remedy = f"write a kubernetes.version from {show(low)} to {show(high)}, for example {versions.KUBERNETES_DEFAULT}"
    yield Problem("kubernetes.version", kubernetes.version, f"is not supported by {named}", remedy)


def _bounds(chart: Chart) -> str:
    low, high = chart.minors
    if low and high:
        return f"{show(low)} to {show(high)}"
    return f"{show(low)} or newer" if low else f"{show(high)} or older" if high else "any"
