"""What cannot follow on what is installed, refused before anything changes: from what the last update noted.

A leap over a minor of Kubernetes or of Kubespray, a way down, another address of the API. The step that makes the
control planes asks the nodes themselves and refuses as well; the note only makes it known beforehand. Without it, as on
another machine, nothing is refused here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from cluster import whole
from cluster.budget.findings import Finding
from cluster.render.group_vars import virtual_address
from cluster.settings.model import Settings
from cluster.versions.upgrade import release_step, upgrade_step

NOTE = "kubernetes.json"


@dataclass(frozen=True)
class Noted:
    """``kubernetes``: the version that the control planes have; ``kubespray``: the release that made them;
    ``endpoint``: host:port by which nodes find the API; each empty where nobody said."""

    kubernetes: str = ""
    kubespray: str = ""
    endpoint: str = ""


def note(run_dir: Path, noted: Noted) -> None:
    """Note what there is."""
    whole.replace(run_dir / NOTE, json.dumps(asdict(noted)) + "\n")


def upgrades(settings: Settings, stack: str, folder: Path = Path()) -> list[Finding]:
    """Return a refusal for each thing wanted that cannot follow what is noted."""
    noted = _noted(folder / ".cloud" / stack / NOTE)
    host = settings.hosts[0].name
    found = [Finding("upgrade", "refuse", host, None, *each) for each in _versions(settings, noted)]
    if problem := endpoint_problem(settings, noted.endpoint):
        remedy = "keep as many control planes as there were, or make the VMs anew: docs/kubernetes.md, Fallbacks"
        found.append(Finding("upgrade", "refuse", host, None, problem, remedy))
    return found


def _versions(settings: Settings, noted: Noted) -> Iterator[tuple[str, str]]:
    """Yield message and remedy."""
    kubernetes = settings.kubernetes
    key, wanted = "kubernetes.version", kubernetes.version
    if kubernetes.provisioner == "k3s":
        key, wanted = "kubernetes.k3s", kubernetes.k3s
    if noted.kubernetes:
        rule = upgrade_step(noted.kubernetes, wanted)
        if not rule.allowed:
            yield f"{key}: {wanted} {rule.reason}", rule.remedy
    if noted.kubespray and kubernetes.provisioner == "kubespray":
        rule = release_step(noted.kubespray, kubernetes.kubespray)
        if not rule.allowed:
            yield f"kubernetes.kubespray: {kubernetes.kubespray} {rule.reason}", rule.remedy


def endpoint_problem(settings: Settings, endpoint: str) -> str:
    """Return why a cluster of kubeadm's cannot become what is wanted, empty where it can.

    The address by which its nodes find the API is in the certificates and in each node's configuration, and kubeadm has
    no way to change it. From three control planes on it is one of its own, which a cluster of one was not made with.
    """
    address = virtual_address(settings)
    host = endpoint.rpartition(":")[0]
    if settings.kubernetes.provisioner != "kubeadm" or address is None or host in ("", str(address)):
        return ""
    planes = len(settings.by_role("control-plane"))
    return (
        f"{planes} control planes have the API at network.api_address {address}, and this cluster was made with it at"
        f" {host}, which kubeadm does not change"
    )


def _noted(path: Path) -> Noted:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return Noted(*(str(raw.get(key) or "") for key in ("kubernetes", "kubespray", "endpoint")))
    except (OSError, ValueError, AttributeError):
        return Noted()
