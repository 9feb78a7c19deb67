"""Small files of ours that are replaced whole: a run that is killed leaves the old text or the new one.

Not for secrets, whose rights matter from the first moment (``cluster/timers/install.py``), nor for what has to outlive
a power cut (``cluster/journal.py``, ``cluster/leases/file.py``).
"""

from __future__ import annotations

import os
from pathlib import Path


def replace(path: Path, text: str) -> None:
    """Write a file by way of one beside it; its folder is made. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.new")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)  # noqa: PTH105 - the one call that makes it so
