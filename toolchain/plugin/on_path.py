"""First origin: a fitting plugin that is on PATH already."""

from __future__ import annotations

from pathlib import Path

from toolchain import pins
from toolchain.plugin.judge import judge
from toolchain.problems import NotHadError
from toolchain.tool import Tool, executable, path_without


def find(*exclude: Path) -> Tool:
    """Return the first plugin on PATH that fits, folders of ours left out. Raises NotHadError."""
    reasons: list[str] = []
    for path in candidates(*exclude):
        found = judge(path, "path")
        if isinstance(found, Tool):
            return found
        reasons.append(found)
    raise NotHadError(f"path: {'; '.join(dict.fromkeys(reasons)) or f'no {pins.PLUGIN} on PATH'}")


def candidates(*exclude: Path) -> list[Path]:
    """Return every plugin on PATH, folders of ours left out; an engine would take the first."""
    return [path for folder in path_without(*exclude) if executable(path := folder / pins.PLUGIN)]
