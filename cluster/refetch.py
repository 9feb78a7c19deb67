"""When the administrator's kubeconfig has to be fetched again: its certificate lasts a year.

The control planes renew theirs by themselves; what was fetched before does not change by that, and after a year neither
the program nor anybody else would get in with it. What is wanted goes into an input of the step that fetches it, so the
same text must come again until the next time: it is kept in a file.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from cryptography import x509

LEFT = timedelta(days=60)
"""Control planes renew theirs when less is left: by kubeadm's timer of ours; Kubespray's does each month."""

NOTE = "kubeconfig.stale"


def refetch(run_dir: Path, now: datetime, *, record: bool) -> str:
    """Return what changes when ``run_dir/kubeconfig`` has to be fetched again, empty where it never had to be.

    Once a day while its certificate has less than ``LEFT``: the control planes may not have renewed theirs yet.
    ``record``: write it down, as an update does and a preview does not.
    """
    noted = _text(run_dir / NOTE).strip()
    ends = client_ends(_text(run_dir / "kubeconfig"))
    if ends is None or ends - now >= LEFT:
        return noted
    wanted = f"ends {ends:%Y-%m-%d}, seen {now:%Y-%m-%d}"
    if record and wanted != noted:
        fresh = run_dir / f"{NOTE}.new"
        fresh.write_text(f"{wanted}\n", encoding="utf-8")
        fresh.replace(run_dir / NOTE)
    return wanted


def client_ends(kubeconfig: str) -> datetime | None:
    """Return when the first of a kubeconfig's client certificates ends, None where it has none, or none can be read."""
    found = []
    try:
        for user in yaml.safe_load(kubeconfig)["users"]:
            data = user["user"].get("client-certificate-data")
            if data:
                found.append(x509.load_pem_x509_certificate(base64.b64decode(data)).not_valid_after_utc)
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError, binascii.Error):
        return None
    return min(found, default=None)


def today() -> datetime:
    """Return the time, as certificates have it."""
    return datetime.now(UTC)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
