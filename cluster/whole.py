"""Small files of ours that are replaced whole: a run that is killed leaves the old text or the new one.

Not for what has to outlive a power cut (``cluster/journal.py``, ``cluster/leases/file.py``).
"""

from __future__ import annotations

import os
from pathlib import Path

PRIVATE = 0o600
"""The mode of a file that holds secrets."""


def replace(path: Path, text: str, mode: int = 0o666) -> None:
    """Write a file by way of one beside it; its folder is made. Raises OSError.

    It never has more rights than ``mode`` and the umask leave, not even for a moment.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)  # what a killed run left may have other rights
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as stream:
        stream.write(text)
    os.replace(beside, path)  # noqa: PTH105 - the one call that makes it so
