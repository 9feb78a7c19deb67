"""Versions that do not go together."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cluster import versions
from cluster.problems import Problem
from cluster.settings.draft import Draft, Part
from cluster.settings.model import Kubernetes
from cluster.versions import KUBESPRAY, Chart, Kubespray, minor_of, show, version_of

_K3S = re.compile(r"v\d{1,4}\.\d{1,4}\.\d{1,4}\+k3s\d{1,4}", re.ASCII)


def check(draft: Draft) -> Iterator[Problem]:
    """Yield the problems of the kubernetes section with its installer and the pinned charts."""
    section = draft.kubernetes
    if section is None or not section.has("provisioner", "version"):
        return
    gpus = draft.gpu_total() != 0
    found: list[Problem] = []
    if section.value.provisioner == "kubespray" and section.has("kubespray"):
        found += _kubespray(section.value, gpus)
    if section.value.provisioner == "kubeadm":
        found += _kubeadm(section.value, gpus)
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
        reason = f"cannot be installed by Kubespray {tag}, which {_knows(release, version)}{_floor(version, gpus)}"
        yield Problem("kubernetes.version", version, reason, remedy)


def _knows(release: Kubespray, version: str) -> str:
    """Say what a release installs: its minors, or where the minor is right, its newest patch of that."""
    low, high = release.minors
    newest = next((each for each in release.newest if minor_of(each) == minor_of(version)), None)
    return f"has checksums up to {newest}" if newest else f"installs {show(low)} to {show(high)}"


def _floor(version: str, gpus: bool) -> str:
    """Say that the requirement's version is a floor, to those who ask for it."""
    if minor_of(version) > minor_of(versions.KUBERNETES_FLOOR):
        return ""
    low, high = versions.chart_range(gpus=gpus)
    floor = versions.KUBERNETES_FLOOR
    installed = (
        f"no supported Kubespray release installs {show(minor_of(version))}, and {show(low)} to {show(high)} work"
    )
    return f" ({floor} is the requirement's floor, not a version to install: {installed})"


def _kubeadm(kubernetes: Kubernetes, gpus: bool) -> Iterator[Problem]:
    version = kubernetes.version
    if versions.parts_for(version) is None:
        _, near = versions.nearest_tuple(kubernetes.kubespray, version, gpus=gpus)
        reason = f"is not one that kubeadm has containerd and Calico for here{_floor(version, gpus)}"
        yield Problem("kubernetes.version", version, reason, f"write kubernetes.version: {near}")


def _k3s(section: Part[Kubernetes]) -> Iterator[Problem]:
    k3s, version = section.value.k3s, section.value.version
    if not _K3S.fullmatch(k3s):
        yield Problem("kubernetes.k3s", k3s, "is not a k3s release", f"write for example {versions.K3S_DEFAULT}")
        return
    minor = minor_of(k3s)
    if minor != minor_of(version):
        reason = f"is Kubernetes {show(minor)}, but kubernetes.version is {version}"
        yield Problem(
            "kubernetes.k3s", k3s, reason, f"write kubernetes.k3s: v{version}+k3s1, or change kubernetes.version"
        )
        return
    # k3s follows each patch of Kubernetes; which of them there are by now, Kubespray's checksums tell as well.
    newest = versions.newest_patch(minor)
    if newest and version_of(k3s) > version_of(newest):
        reason = f"is newer than any Kubernetes {show(minor)} that this project knows ({newest})"
        also = (
            f", or {versions.K3S_DEFAULT}, with which it was put together"
            if minor_of(versions.K3S_DEFAULT) == minor
            else ""
        )
        yield Problem("kubernetes.k3s", k3s, reason, f"write for example v{newest}+k3s1{also}")


def _charts(kubernetes: Kubernetes, gpus: bool) -> Iterator[Problem]:
    conflicts = versions.chart_conflicts(kubernetes.version, gpus=gpus)
    if not conflicts:
        return
    low, high = versions.chart_range(gpus=gpus)
    named = ", ".join(f"{chart.name} {chart.version} ({_bounds(chart)})" for chart in conflicts)
    remedy = f"write a kubernetes.version from {show(low)} to {show(high)}, for example {versions.KUBERNETES_DEFAULT}"
    reason = f"is not supported by {named}{_floor(kubernetes.version, gpus)}"
    yield Problem("kubernetes.version", kubernetes.version, reason, remedy)


def _bounds(chart: Chart) -> str:
    low, high = chart.minors
    if low and high:
        return f"{show(low)} to {show(high)}"
    return f"{show(low)} or newer" if low else f"{show(high)} or older" if high else "any"
