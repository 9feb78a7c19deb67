"""The authority that signed the gateway's certificates: where its file lies, fetched from the cluster where it is not.

Without it everything that goes through the gateway fails: transfer, promotion, load tests. The transfer's timer leaves
the same file, but a stack may have no transfer, and a machine no systemd.
"""

from __future__ import annotations

from pathlib import Path

from cloudctl import console, project
from cluster import whole
from cluster.authority import fetch
from cluster.settings.model import Settings

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
    whole.replace(found, text)
    return found
