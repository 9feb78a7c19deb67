"""Who installs Kubernetes, which versions each can install, and what they bring along."""

from __future__ import annotations

from collections.abc import Mapping

from cluster.versions.model import Kubespray

KUBESPRAY_URL = "https://github.com/kubernetes-sigs/kubespray.git"
# renovate: datasource=github-tags depName=kubernetes-sigs/kubespray
KUBESPRAY_DEFAULT = "v2.30.0"
# renovate: datasource=github-releases depName=kubernetes/kubernetes
KUBERNETES_DEFAULT = "1.34.3"
# renovate: datasource=github-releases depName=k3s-io/k3s
K3S_DEFAULT = "v1.34.3+k3s1"
# renovate: datasource=pypi depName=ansible-core
ANSIBLE_CORE = "2.19.14"
"""What runs our k3s playbook; Kubespray brings a pin of its own."""
KUBERNETES_FLOOR = "1.28.0"
"""The requirement's "Kubernetes 1.28.0": a floor, which no supported Kubespray release can install any more."""

# Read from each tag: what is first in roles/kubespray_defaults/vars/main/checksums.yml is what it installs by default
# (kubelet, containerd, runc, cni, calicoctl); its kubelets have no gap between patch 0 and the newest of a minor;
# ansible is in its requirements.txt. The commit is what the tag names (git rev-parse TAG^{commit}): a tag can be moved,
# a commit cannot.
KUBESPRAY: Mapping[str, Kubespray] = {
    release.tag: release
    for release in (
        Kubespray(
            tag="v2.29.0",
            commit="9991412b4597d6eaf37f86e5f20f9f903a731c08",
            newest=("1.33.5", "1.32.9", "1.31.13"),
            containerd="2.1.4",
            runc="1.3.2",
            cni="1.8.0",
            calico="3.30.3",
            ansible="10.7.0",
        ),
        Kubespray(
            tag="v2.29.1",
            commit="0c6a29553f90c55cba5e0e359470321dc7cf7d29",
            newest=("1.33.7", "1.32.10", "1.31.14"),
            containerd="2.1.5",
            runc="1.3.4",
            cni="1.8.0",
            calico="3.30.5",
            ansible="10.7.0",
        ),
        Kubespray(
            tag="v2.30.0",
            commit="f4ccdb5e72395eaf9f3444056ebd1a6625ddb89a",
            newest=("1.34.3", "1.33.7", "1.32.11"),
            containerd="2.2.1",
            runc="1.3.4",
            cni="1.8.0",
            calico="3.30.6",
            ansible="10.7.0",
        ),
        Kubespray(
            tag="v2.31.0",
            commit="1c9add48975060f45396b34d8e022c30d7f80dab",
            newest=("1.35.4", "1.34.7", "1.33.11"),
            containerd="2.2.3",
            runc="1.4.2",
            cni="1.9.1",
            calico="3.31.5",
            ansible="11.13.0",
        ),
    )
}

CALICO_MANIFESTS: Mapping[str, str] = {
    "3.30.3": "sha256:9382d2b27a76f40c170454b408653e6d71e2205ef0aef069e942bb690e7381d0",
    "3.30.5": "sha256:55af477d939927a87d2383725e2986bca71497d00913becefabeca3795e9288a",
    "3.30.6": "sha256:e194d60ea738c4bf19e623523d6e63814a398af6a064e7495cbcb765340b759a",
    "3.31.5": "sha256:d45842abe9f95afb4d346278eafb2e454dacdfb502d48cf1d5cede71a9046997",
}
"""Checksum of ``manifests/calico.yaml`` at each release's tag: Calico publishes none. Taken from the file in git."""
