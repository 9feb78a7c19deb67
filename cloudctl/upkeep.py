"""What has to be kept up once a stack stands: certificates and backups, as ``status`` and ``report`` tell of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cloudctl import project
from cluster.settings.model import Settings


def upkeep(chosen: project.Stack, settings: Settings, *, ask: bool) -> dict[str, Any]:
    """Return ``certificates``, a row each, the one that ends first at the top; ``problems`` with them; and how backups
    stand, ``backup``, as ``cluster.backup.last.stands`` tells it.

    ``ask``: ask servers and cert-manager for certificates; a rehearsal, or a stack that holds nothing, has none.
    """
    from cloudctl.backups.ground import run_dir
    from cloudctl.certificates import Certificates
    from cloudctl.views import certs
    from cluster.backup import last

    root = project.root()
    kubeconfig = root / ".cloud" / chosen.name / "kubeconfig"
    rows = certs.rows(Certificates(chosen.name, settings, root, kubeconfig).quickly() if ask else [])
    return {
        "certificates": rows,
        "problems": certs.problems(rows),
        "backup": last.stands(settings, run_dir(root, chosen) / "backup", datetime.now().astimezone()),
    }


def any_ended(found: dict[str, Any]) -> bool:
    """Return whether a certificate has ended."""
    return any(row["state"] == "expired" for row in found["certificates"])
