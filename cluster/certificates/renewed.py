"""When certificates were last renewed by hand: a note beside the stack's files, by which the next update takes the new
kubeconfig into its state.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

NOTE = "renewed"


def note(run_dir: Path, now: datetime) -> None:
    """Note that they were."""
    fresh = run_dir / f"{NOTE}.new"
    fresh.write_text(now.isoformat(timespec="seconds") + "\n", encoding="utf-8")
    fresh.replace(run_dir / NOTE)


def noted(run_dir: Path) -> str:
    """Return when they were, empty where they never were."""
    try:
        return (run_dir / NOTE).read_text(encoding="utf-8").strip()
    except OSError:
        return ""
