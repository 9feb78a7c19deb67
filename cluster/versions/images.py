"""Cloud images that VMs boot from, and the container images that the program names itself."""

from __future__ import annotations

from collections.abc import Mapping

from cluster.versions.model import CloudImage

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
    "plugin-barman-cloud": "ghcr.io/cloudnative-pg/plugin-barman-cloud:v0.13.0",
    # renovate: datasource=docker
    "plugin-barman-cloud-sidecar": "ghcr.io/cloudnative-pg/plugin-barman-cloud-sidecar:v0.13.0",
    # renovate: datasource=docker
    "mlflow": "docker.io/burakince/mlflow:3.15.1",
    # renovate: datasource=docker
    "busybox": "docker.io/library/busybox:1.38.0",
    # renovate: datasource=docker
    "envoy": "docker.io/envoyproxy/envoy:distroless-v1.39.0",
    # renovate: datasource=docker
    "kserve-controller": "docker.io/kserve/kserve-controller:v0.20.0",
    # renovate: datasource=docker
    "kserve-agent": "docker.io/kserve/agent:v0.20.0",
    # renovate: datasource=docker
    "kserve-router": "docker.io/kserve/router:v0.20.0",
    # renovate: datasource=docker
    "kserve-storage-initializer": "docker.io/kserve/storage-initializer:v0.20.0",
    # renovate: datasource=docker
    "kserve-huggingfaceserver": "docker.io/kserve/huggingfaceserver:v0.20.0",
    # renovate: datasource=docker
    "kube-rbac-proxy": "quay.io/brancz/kube-rbac-proxy:v0.18.0",
    # renovate: datasource=docker
    "vllm": "docker.io/vllm/vllm-openai:v0.12.0",
    # renovate: datasource=docker
    "mlserver": "docker.io/seldonio/mlserver:1.7.1",
    # renovate: datasource=docker
    "kube-vip": "ghcr.io/kube-vip/kube-vip:v1.0.3",
    # renovate: datasource=docker
    "pause": "registry.k8s.io/pause:3.10.1",
    # renovate: datasource=docker
    "curl": "docker.io/curlimages/curl:8.16.0",
    # renovate: datasource=docker
    "k6": "docker.io/grafana/k6:1.3.0",
    # NVIDIA's vectorAdd, which checks CUDA: the tag of the GPU operator's own test pod at v26.7.0.
    # renovate: datasource=docker
    "cuda-sample": "nvcr.io/nvidia/k8s/cuda-sample:vectoradd-cuda12.5.0-ubuntu22.04",
}
"""Images that the program names itself, with their registry: where a chart's own default has no tag, ``latest`` or
an old one, and for what no chart brings. The remaining images are pinned by their charts' versions."""

GPU_BUILD = "-gpu"
"""What KServe puts behind the tag of its Hugging Face server where a model has GPUs (v0.20.0, inferenceservice/utils,
UpdateImageTag): another build, which a mirror needs as well."""
