"""An engine that was found, and how a folder is asked whether it holds one."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from toolchain import pins


@dataclass(frozen=True)
class Engine:
    """A fitting engine: version (``v3.220.0``), origin (path, installer, build) and where each of its files is."""

    version: str
    origin: str
    parts: dict[str, Path]


def version_of(pulumi: Path) -> str:
    """Return what ``pulumi version`` says, or the reason why it says nothing, in parentheses."""
    env = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        done = subprocess.run([pulumi, "version"], env=env, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"(does not run: {type(error).__name__})"
    return done.stdout.strip() or "(says no version)"


def executable(path: Path) -> bool:
    """Whether a path is a file that may be run."""
    return path.is_file() and os.access(path, os.X_OK)


def in_folder(folder: Path, origin: str) -> Engine | None:
    """Return the engine of a folder of ours, or None where a file of it is missing or it is not the pinned one."""
    parts = {name: folder / name for name in pins.PARTS if executable(folder / name)}
    if any(name not in parts for name in pins.NEEDED):
        return None
    version = version_of(parts["pulumi"])
    return Engine(version, origin, parts) if pins.parse(version) == pins.pinned() else None
