"""How a folder of ours is asked whether it holds an engine."""

from __future__ import annotations

from pathlib import Path

from toolchain import pins
from toolchain.tool import Tool, answer, executable


def version_of(pulumi: Path) -> str:
    """Return what ``pulumi version`` says, or the reason why it says nothing, in parentheses."""
    return answer(pulumi, "version")


def in_folder(folder: Path, origin: str) -> Tool | None:
    """Return the engine of a folder of ours, or None where a file of it is missing or it is not the pinned one."""
    parts = {name: folder / name for name in pins.PARTS if executable(folder / name)}
    if any(name not in parts for name in pins.NEEDED):
        return None
    version = version_of(parts["pulumi"])
    return Tool(version, origin, parts) if pins.parse(version) == pins.pinned() else None
