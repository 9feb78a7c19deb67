"""Something that was found or made: which version of it, where from, and where each of its files is."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

ANSWER_LIMIT = 30.0
"""Seconds that a program may take to tell its version."""


@dataclass(frozen=True)
class Tool:
    """An engine or plugin that fits: version (``v3.220.0``), origin (path, build, ...), its files by name."""

    version: str
    origin: str
    parts: dict[str, Path]


def executable(path: Path) -> bool:
    """Whether a path is a file that may be run."""
    return path.is_file() and os.access(path, os.X_OK)


def answer(path: Path, word: str) -> str:
    """Return what a program says of its version, or the reason why it says nothing, in parentheses."""
    env = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        done = subprocess.run(
            [path, word],
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ANSWER_LIMIT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"(does not run: {type(error).__name__})"
    return done.stdout.strip() or "(says no version)"


def truth(variable: str) -> bool:
    """Whether an environment variable is true, as the engine reads it."""
    return os.environ.get(variable, "").lower() in ("1", "true")


def path_without(*left_out: Path) -> list[Path]:
    """Return the folders of PATH without some: what this package links there must not be taken for an origin."""
    folders = [Path(each) for each in os.environ.get("PATH", "").split(os.pathsep) if each]
    not_wanted = {folder.resolve() for folder in left_out}
    return [folder for folder in folders if folder.resolve() not in not_wanted]
