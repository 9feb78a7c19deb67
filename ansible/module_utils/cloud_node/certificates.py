"""The certificates that lie on a node, as PEM: what is between BEGIN and END CERTIFICATE, and no private key.

Nothing is read into them here: who asked does so.
"""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path

PLACES = (
    "/etc/kubernetes/pki/*.crt",
    "/etc/kubernetes/pki/etcd/*.crt",
    "/etc/kubernetes/*.conf",
    "/etc/ssl/etcd/ssl/*.pem",
    "/var/lib/kubelet/pki/*.pem",
    "/var/lib/kubelet/pki/*.crt",
    "/var/lib/rancher/k3s/server/tls/*.crt",
    "/var/lib/rancher/k3s/server/tls/etcd/*.crt",
    "/var/lib/rancher/k3s/server/cred/*.kubeconfig",
    "/var/lib/rancher/k3s/agent/*.crt",
    "/etc/rancher/k3s/k3s.yaml",
)
"""Where kubeadm, Kubespray, kubelets and k3s keep theirs; a .conf, .yaml or .kubeconfig has them in base64."""

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+?-----END CERTIFICATE-----")
_INSIDE = re.compile(r"client-certificate-data:\s*([A-Za-z0-9+/=]+)")


def collect() -> dict[str, str]:
    """Return path -> the first certificate there: the node's own, where those of its authorities follow it."""
    found: dict[str, str] = {}
    seen = set()
    for place in PLACES:
        for path in sorted(Path("/").glob(place.lstrip("/"))):
            real = path.resolve()
            if real in seen or not real.is_file():
                continue
            seen.add(real)
            first = _first(real.read_text(errors="replace"))
            if first:
                found[str(path)] = first
    return found


def _first(text: str) -> str:
    pem = _PEM.search(text)
    if pem:
        return pem[0]
    inside = _INSIDE.search(text)
    if not inside:
        return ""
    try:
        pem = _PEM.search(base64.b64decode(inside[1]).decode(errors="replace"))
    except (binascii.Error, ValueError):
        return ""
    return pem[0] if pem else ""
