"""The script that renews a control plane's certificates, really run on certificates that openssl makes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

SCRIPT = Path(__file__).parent.parent.parent / "ansible/files/renew-certificates.sh"
PODS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
MANIFEST = "metadata:\n  labels:\n    component: x\n    tier: control-plane\n  name: x\nspec: {}\n"


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """Make a folder with static pods and a kubeadm that writes down how it was called."""
    for pod in PODS:
        path = tmp_path / "kubernetes/manifests" / f"{pod}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(MANIFEST)
    (tmp_path / "kubeadm").write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/called\n')
    (tmp_path / "kubeadm").chmod(0o755)
    return tmp_path


def renew(node: Path, days: int) -> None:
    """Run the script where the API server's certificate has so many days left."""
    pki = node / "kubernetes/pki"
    pki.mkdir(exist_ok=True)
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=kube-apiserver"]
    files = ["-keyout", str(pki / "apiserver.key"), "-out", str(pki / "apiserver.crt")]
    subprocess.run([*make, "-days", str(days), *files], check=True, capture_output=True)
    text = SCRIPT.read_text().replace("/etc/kubernetes", str(node / "kubernetes"))
    (node / "script").write_text(text.replace("/usr/local/bin/kubeadm", str(node / "kubeadm")))
    subprocess.run(["bash", str(node / "script")], check=True, capture_output=True)


def test_certificates_that_end_soon_are_renewed_and_static_pods_started_anew(node: Path) -> None:
    for _ in range(2):
        renew(node, 30)
    assert (node / "called").read_text() == "certs renew all\n" * 2
    for pod in PODS:
        text = (node / f"kubernetes/manifests/{pod}.yaml").read_text()
        labels = yaml.safe_load(text)["metadata"]["labels"]
        assert labels.keys() == {"inference-cloud/renewed", "component", "tier"}
        assert text.count("inference-cloud/renewed") == 1


def test_certificates_that_last_are_left_alone(node: Path) -> None:
    renew(node, 300)
    assert not (node / "called").exists()
    assert (node / "kubernetes/manifests/etcd.yaml").read_text() == MANIFEST
