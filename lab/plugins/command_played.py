"""What a played command prints: lab.yaml's word for it, a kubeconfig where the name ends so, else nothing."""

from __future__ import annotations

import base64
import re

from lab.plugins.config import LabConfig

_PEM = "-----BEGIN CERTIFICATE-----\nplayed by the lab: {what}\n-----END CERTIFICATE-----\n"


def played(config: LabConfig, name: str) -> str:
    """Return the standard output of a played command resource."""
    for pattern, text in config.outputs.items():
        if re.search(pattern, name):
            return text.removesuffix("\n")
    return kubeconfig() if name.endswith("kubeconfig") else ""


def kubeconfig() -> str:
    """Return a kubeconfig of a cluster that exists in the lab only; always the same, as one cluster's is."""
    ca, cert, key = (_encoded(what) for what in ("certificate authority", "client certificate", "client key"))
    return "\n".join(
        (
            "apiVersion: v1",
            "kind: Config",
            "clusters:",
            "- name: cluster.local",
            "  cluster:",
            "    server: https://192.168.200.10:6443",
            f"    certificate-authority-data: {ca}",
            "users:",
            "- name: kubernetes-admin",
            "  user:",
            f"    client-certificate-data: {cert}",
            f"    client-key-data: {key}",
            "contexts:",
            "- name: kubernetes-admin@cluster.local",
            "  context: {cluster: cluster.local, user: kubernetes-admin}",
            "current-context: kubernetes-admin@cluster.local",
        )
    )


def _encoded(what: str) -> str:
    return base64.b64encode(_PEM.format(what=what).encode()).decode()
