"""The authority that signed the gateway's certificates, asked of the cluster that made it."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

from cluster.kubectl import Kubectl, KubectlError


def fetch(kubeconfig: Path) -> str:
    """Return the certificate of the cluster's own authority, as PEM. Raises LookupError with the reason."""
    words = ("get", "secret", "cluster-ca", "--namespace", "cert-manager", "--output", r"jsonpath={.data.ca\.crt}")
    try:
        text = base64.b64decode(Kubectl(kubeconfig).ask(*words).strip(), validate=True).decode()
    except KubectlError as error:
        raise LookupError(str(error)) from None
    except (binascii.Error, UnicodeDecodeError):
        text = ""
    if "BEGIN CERTIFICATE" not in text:
        raise LookupError("its Secret holds no certificate")
    return text
