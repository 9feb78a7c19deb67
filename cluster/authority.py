"""The authority that signed the gateway's certificates, asked of the cluster that made it."""

from __future__ import annotations

import base64
import binascii
import shutil
import subprocess
from pathlib import Path

WAIT_S = 30


def fetch(kubeconfig: Path) -> str:
    """Return the certificate of the cluster's own authority, as PEM. Raises LookupError with the reason."""
    if shutil.which("kubectl") is None:
        raise LookupError("there is no kubectl on PATH")
    words = ("get", "secret", "cluster-ca", "--namespace", "cert-manager", "--output", r"jsonpath={.data.ca\.crt}")
    command = ["kubectl", "--kubeconfig", str(kubeconfig), f"--request-timeout={WAIT_S}s", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=2 * WAIT_S)
    except subprocess.TimeoutExpired:
        raise LookupError("the Kubernetes API did not answer") from None
    try:
        text = base64.b64decode(done.stdout.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        text = ""
    if done.returncode != 0 or "BEGIN CERTIFICATE" not in text:
        raise LookupError(" ".join(done.stderr.split()) or "its Secret holds no certificate")
    return text
