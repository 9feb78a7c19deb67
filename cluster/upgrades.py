"""A leap over a Kubernetes minor, refused before anything changes: from what the last update noted as installed.

The step that makes the control planes asks the nodes themselves and refuses as well; this note only makes it known
beforehand. Without it, as on another machine, nothing is refused here.
"""

from __future__ import annotations

import json
from pathlib import Path

from cluster.budget.findings import Finding
from cluster.settings.model import Settings
from cluster.versions.upgrade import upgrade_step

NOTE = "kubernetes.json"


def note(run_dir: Path, version: str) -> None:
    """Note which Kubernetes the control planes have."""
    path = run_dir / NOTE
    fresh = path.with_name(f"{NOTE}.new")
    fresh.write_text(json.dumps({"kubernetes": version}) + "\n", encoding="utf-8")
    fresh.replace(path)


def upgrades(settings: Settings, stack: str, folder: Path = Path()) -> list[Finding]:
    """Return a refusal where the wanted Kubernetes cannot follow the installed one."""
    installed = _noted(folder / ".cloud" / stack / NOTE)
    kubernetes = settings.kubernetes
    wanted = kubernetes.k3s if kubernetes.provisioner == "k3s" else kubernetes.version
    if not installed:
        return []
    rule = upgrade_step(installed, wanted)
    if rule.allowed:
        return []
    key = "kubernetes.k3s" if kubernetes.provisioner == "k3s" else "kubernetes.version"
    return [Finding("upgrade", "refuse", settings.hosts[0].name, None, f"{key}: {wanted} {rule.reason}", rule.remedy)]


def _noted(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["kubernetes"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
