"""Every pin of the project, once, and which of them go together.

A renovate comment above a pin says where newer ones are announced. Ranges are inclusive and name Kubernetes minors.
Sources: for Kubespray each tag's ``roles/kubespray_defaults/vars/main/checksums.yml``; for charts the projects' pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Minor = tuple[int, int]


@dataclass(frozen=True)
class Kubespray:
    """A Kubespray release: its default Kubernetes, the minors it can install, and what it brings along."""

    tag: str
    kubernetes: str
    minors: tuple[Minor, Minor]
    containerd: str
    calico: str
    ansible: str


@dataclass(frozen=True)
class Chart:
    """A Helm chart: where it lives, its pin, and the Kubernetes minors that it supports (None: no bound stated)."""

    name: str
    repository: str
    version: str
    minors: tuple[Minor | None, Minor | None] = (None, None)

    @property
    def oci(self) -> bool:
        """Whether the chart comes from an OCI registry."""
        return self.repository.startswith("oci://")


@dataclass(frozen=True)
class CloudImage:
    """A distribution's cloud image: its server, the path of one dated release there, and that file's checksum."""

    server: str
    path: str
    checksum: str


KUBESPRAY_URL = "https://github.com/kubernetes-sigs/kubespray.git"
# renovate: datasource=github-tags depName=kubernetes-sigs/kubespray
KUBESPRAY_DEFAULT = "v2.30.0"
KUBERNETES_DEFAULT = "1.34.3"
# renovate: datasource=github-releases depName=k3s-io/k3s
K3S_DEFAULT = "v1.34.3+k3s1"
# renovate: datasource=pypi depName=ansible-core
ANSIBLE_CORE = "2.19.14"
"""What runs our k3s playbook; Kubespray brings a pin of its own."""
KUBERNETES_FLOOR = "1.28.0"
"""The requirement's "Kubernetes 1.28.0": a floor, which no supported Kubespray release can install any more."""

# A dated release never changes, which its checksum here holds it to; with a new date take the new checksum, from the
# SHA256SUMS or SHA512SUMS beside the image. These two were read in several public projects that pin the same release,
# one that checks Ubuntu's signature of the list among them. Ubuntu keeps a dated release for some months, and then in
# its archive: https://cloud-images-archive.ubuntu.com, which images.mirror takes.
# renovate: datasource=custom.ubuntu-noble depName=ubuntu-24.04-server-cloudimg
UBUNTU_IMAGE = "20260926"
# renovate: datasource=custom.debian-trixie depName=debian-13-genericcloud
DEBIAN_IMAGE = "20260914-2601"

CLOUD_IMAGES: Mapping[str, CloudImage] = {
    "ubuntu-24.04": CloudImage(
        "https://cloud-images.ubuntu.com",
        f"releases/noble/release-{UBUNTU_IMAGE}/ubuntu-24.04-server-cloudimg-amd64.img",
        "sha256:6a81c37564db9b1ee84e141922625e1d7c5b389b99bb3c572e0243607d5bb4d2",
    ),
    "debian-13": CloudImage(
        "https://cloud.debian.org",
        f"images/cloud/trixie/{DEBIAN_IMAGE}/debian-13-genericcloud-amd64-{DEBIAN_IMAGE}.qcow2",
        "sha512:95e110dfcdbd0ed8a82a75ed9579802f9950cabf51a810dcc6388e81bc778188"
        "713878b9f28d583a0ea602fbf48b35996ae9ad37f584166d8fbd6489df248f53",
    ),
}

KUBESPRAY: Mapping[str, Kubespray] = {
    release.tag: release
    for release in (
        Kubespray("v2.29.0", "1.33.5", ((1, 31), (1, 33)), "2.1.4", "3.30.3", "10.7.0"),
        Kubespray("v2.29.1", "1.33.7", ((1, 31), (1, 33)), "2.1.5", "3.30.5", "10.7.0"),
        Kubespray("v2.30.0", "1.34.3", ((1, 32), (1, 34)), "2.2.1", "3.30.6", "10.7.0"),
        Kubespray("v2.31.0", "1.35.4", ((1, 33), (1, 35)), "2.2.3", "3.31.5", "10.7.0"),
    )
}

CHARTS: Mapping[str, Chart] = {
    chart.name: chart
    for chart in (
        # Goes with kube-prometheus-stack: at the commit that made 88.5.3, both Chart.yaml have appVersion v0.93.1.
        # renovate: datasource=docker depName=ghcr.io/prometheus-community/charts/prometheus-operator-crds
        Chart("prometheus-operator-crds", "oci://ghcr.io/prometheus-community/charts", "31.0.1"),
        # renovate: datasource=docker depName=quay.io/jetstack/charts/cert-manager
        Chart("cert-manager", "oci://quay.io/jetstack/charts", "v1.21.1", ((1, 33), (1, 36))),
        # renovate: datasource=docker depName=docker.io/envoyproxy/gateway-helm
        Chart("gateway-helm", "oci://docker.io/envoyproxy", "v1.9.0", ((1, 33), (1, 36))),
        # renovate: datasource=docker depName=ghcr.io/prometheus-community/charts/kube-prometheus-stack
        Chart("kube-prometheus-stack", "oci://ghcr.io/prometheus-community/charts", "88.5.3"),
        # renovate: datasource=helm registryUrl=https://cloudnative-pg.github.io/charts depName=cloudnative-pg
        Chart("cloudnative-pg", "https://cloudnative-pg.github.io/charts", "0.29.0"),
        # renovate: datasource=helm registryUrl=https://charts.min.io depName=minio
        Chart("minio", "https://charts.min.io", "5.4.0"),
        # renovate: datasource=helm registryUrl=https://seaweedfs.github.io/seaweedfs/helm depName=seaweedfs
        Chart("seaweedfs", "https://seaweedfs.github.io/seaweedfs/helm", "4.44.0"),
        # renovate: datasource=helm registryUrl=https://community-charts.github.io/helm-charts depName=mlflow
        Chart("mlflow", "https://community-charts.github.io/helm-charts", "1.11.5"),
        # renovate: datasource=docker depName=ghcr.io/kserve/charts/kserve-crd
        Chart("kserve-crd", "oci://ghcr.io/kserve/charts", "v0.20.0", ((1, 32), None)),
        Chart("kserve-resources", "oci://ghcr.io/kserve/charts", "v0.20.0", ((1, 32), None)),
        Chart("kserve-runtime-configs", "oci://ghcr.io/kserve/charts", "v0.20.0", ((1, 32), None)),
        # renovate: datasource=helm registryUrl=https://helm.ngc.nvidia.com/nvidia depName=gpu-operator
        Chart("gpu-operator", "https://helm.ngc.nvidia.com/nvidia", "v26.7.0", ((1, 33), (1, 36))),
    )
}


IMAGES: Mapping[str, str] = {
    # renovate: datasource=docker
    "minio": "quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z",
    # renovate: datasource=docker
    "mc": "quay.io/minio/mc:RELEASE.2025-08-13T08-35-41Z",
    # renovate: datasource=docker
    "seaweedfs": "docker.io/chrislusf/seaweedfs:4.44",
    # renovate: datasource=docker
    "cloudnative-pg": "ghcr.io/cloudnative-pg/cloudnative-pg:1.30.0",
    # renovate: datasource=docker
    "postgresql": "ghcr.io/cloudnative-pg/postgresql:17.6-system-trixie",
    # renovate: datasource=docker
    "mlflow": "docker.io/burakince/mlflow:3.15.1",
    # renovate: datasource=docker
    "busybox": "docker.io/library/busybox:1.38.0",
    # renovate: datasource=docker
    "envoy": "docker.io/envoyproxy/envoy:distroless-v1.39.0",
    # renovate: datasource=docker
    "kserve-controller": "docker.io/kserve/kserve-controller:v0.20.0",
    "kserve-agent": "docker.io/kserve/agent:v0.20.0",
    "kserve-router": "docker.io/kserve/router:v0.20.0",
    "kserve-storage-initializer": "docker.io/kserve/storage-initializer:v0.20.0",
    "kserve-huggingfaceserver": "docker.io/kserve/huggingfaceserver:v0.20.0",
    # renovate: datasource=docker
    "kube-rbac-proxy": "quay.io/brancz/kube-rbac-proxy:v0.18.0",
    # renovate: datasource=docker
    "vllm": "docker.io/vllm/vllm-openai:v0.12.0",
    # renovate: datasource=docker
    "mlserver": "docker.io/seldonio/mlserver:1.7.1",
    # renovate: datasource=docker
    "curl": "docker.io/curlimages/curl:8.16.0",
    # renovate: datasource=docker
    "rclone": "docker.io/rclone/rclone:1.75.1",
    # renovate: datasource=docker
    "k6": "docker.io/grafana/k6:1.3.0",
}
"""Images that the program names itself, with their registry: where a chart's own default has no tag, ``latest`` or
an old one, and for what no chart brings. The remaining images are pinned by their charts' versions."""


def minor_of(version: str) -> Minor:
    """Return (1, 34) of ``1.34.3`` or ``v1.34.3+k3s1``; ValueError where that cannot be read."""
    major, minor, *_ = version.removeprefix("v").split(".")
    return int(major), int(minor)


def show(minor: Minor) -> str:
    """Return ``1.34`` of (1, 34)."""
    return f"{minor[0]}.{minor[1]}"


def installs(tag: str, kubernetes: str) -> bool:
    """Whether a Kubespray release of the table installs a Kubernetes version (by its minor)."""
    release = KUBESPRAY.get(tag)
    return release is not None and release.minors[0] <= minor_of(kubernetes) <= release.minors[1]


def chart_conflicts(kubernetes: str, *, gpus: bool = True) -> list[Chart]:
    """Return the pinned charts that do not support a Kubernetes version; ``gpus``: whether the GPU operator goes in."""
    minor = minor_of(kubernetes)
    return [chart for chart in CHARTS.values() if not _within(minor, chart.minors) and (gpus or not _for_gpus(chart))]


def chart_range(*, gpus: bool = True) -> tuple[Minor, Minor]:
    """Return the Kubernetes minors that every pinned chart supports; an open bound is closed by the Kubespray table."""
    used = [chart.minors for chart in CHARTS.values() if gpus or not _for_gpus(chart)]
    lows = [low for low, _ in used if low] + [min(release.minors[0] for release in KUBESPRAY.values())]
    highs = [high for _, high in used if high] + [max(release.minors[1] for release in KUBESPRAY.values())]
    return max(lows), min(highs)


def nearest_tuple(kubespray: str, kubernetes: str, *, gpus: bool = True) -> tuple[str, str]:
    """Return the working (Kubespray tag, Kubernetes version) nearest to what was asked for.

    Nearest: changes fewest of the two, then moves Kubernetes by the fewest minors, then takes the release whose own
    default is closest, then the newest. Working: the release installs it and every pinned chart supports it.
    """
    tags = list(KUBESPRAY)
    asked = _readable(kubernetes)
    pairs = [(tag, release.kubernetes) for tag, release in KUBESPRAY.items()]
    pairs += [(tag, kubernetes) for tag in tags if asked]
    works = [(t, k) for t, k in pairs if installs(t, k) and not chart_conflicts(k, gpus=gpus)]

    def distance(pair: tuple[str, str]) -> tuple[int, int, int, int]:
        tag, version = pair
        minor = minor_of(version)[1]
        moved = abs(minor - asked[1]) if asked else 0
        from_default = abs(minor - minor_of(KUBESPRAY[tag].kubernetes)[1])
        return (tag != kubespray) + (version != kubernetes), moved, from_default, -tags.index(tag)

    return min(works, key=distance)


def _readable(version: str) -> Minor | None:
    try:
        return minor_of(version)
    except ValueError:
        return None


def _within(minor: Minor, bounds: tuple[Minor | None, Minor | None]) -> bool:
    low, high = bounds
    return (low is None or low <= minor) and (high is None or minor <= high)


def _for_gpus(chart: Chart) -> bool:
    return chart.name == "gpu-operator"
