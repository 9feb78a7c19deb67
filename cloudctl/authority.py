"""The authority that signed the gateway's certificates: where its file lies, fetched from the cluster where it is not.

Without it everything that goes through the gateway fails: transfer, promotion, load tests. The transfer's timer leaves
the same file, but a stack may have no transfer, and a machine no systemd.
"""

from __future__ import annotations

import base64
import binascii
import shutil
import subprocess
from pathlib import Path

from cloudctl import console, project
from cluster.settings.model import Settings

WAIT_S = 30
_REMEDY = "name its file: transfer.ca_file of the stack, or --ca-file where a command has it"


def file(stack: str, settings: Settings) -> Path | None:
    """Return the file: the settings', else the one in the run folder; None where it cannot be had, which is told.

    A file that is older than the kubeconfig is of a cluster that is gone, maybe, and is fetched anew.
    """
    if settings.transfer and settings.transfer.ca_file:
        return Path(settings.transfer.ca_file)
    folder = project.root() / ".cloud" / stack
    found, kubeconfig = folder / "ca.crt", folder / "kubeconfig"
    if not kubeconfig.is_file():
        return found if found.is_file() else None
    if found.is_file() and found.stat().st_mtime >= kubeconfig.stat().st_mtime:
        return found
    try:
        text = fetch(kubeconfig)
    except LookupError as error:
        console.note(f"the cluster's CA cannot be fetched: {error}; {_REMEDY}")
        return found if found.is_file() else None
    beside = found.with_name(".ca.crt.new")
    beside.write_text(text)
    beside.replace(found)
    return found


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
