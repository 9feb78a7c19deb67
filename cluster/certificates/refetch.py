"""When the administrator's kubeconfig has to be fetched again: its certificate lasts a year.

The control planes renew theirs by themselves; what was fetched before does not change by that, and after a year neither
the program nor anybody else would get in with it. What is wanted goes into an input of the step that fetches it, so the
same text must come again until the next time: it is kept in a file.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cluster import whole
from cluster.certificates import parse

LEFT = timedelta(days=60)
"""Control planes renew theirs when less is left: by kubeadm's timer of ours; Kubespray's does each month."""

NOTE = "kubeconfig.stale"


def refetch(run_dir: Path, now: datetime, *, record: bool) -> str:
    """Return what changes when ``run_dir/kubeconfig`` has to be fetched again, empty where it never had to be.

    Once a day while its certificate has less than ``LEFT``: the control planes may not have renewed theirs yet.
    ``record``: write it down, as an update does and a preview does not.
    """
    noted = _text(run_dir / NOTE).strip()
    ends = parse.of_kubeconfig("kubeconfig", _text(run_dir / "kubeconfig")).ends
    if ends is None or ends - now >= LEFT:
        return noted
    wanted = f"ends {ends:%Y-%m-%d}, seen {now:%Y-%m-%d}"
    if record and wanted != noted:
        _note(run_dir, wanted)
    return wanted


def renewed(run_dir: Path, now: datetime) -> None:
    """Note that certificates were renewed by hand: the next update takes the new kubeconfig into its state."""
    _note(run_dir, f"renewed {now.isoformat(timespec='seconds')}")


def today() -> datetime:
    """Return the time, as certificates have it."""
    return datetime.now(UTC)


def _note(run_dir: Path, text: str) -> None:
    whole.replace(run_dir / NOTE, f"{text}\n")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
