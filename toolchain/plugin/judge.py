"""Whether a file is the libvirt plugin that the SDK asks for."""

from __future__ import annotations

from pathlib import Path

from toolchain import pins
from toolchain.tool import Tool, answer, executable


def judge(path: Path, origin: str) -> Tool | str:
    """Return the plugin at ``path``, or in words why it does not fit.

    Only the SDK's own version fits: an engine takes whatever plugin lies on PATH, without a look at its version.
    """
    version = answer(path, "-version").removeprefix("v")
    if version != pins.plugin_version():
        return f"{path} is {version}, needed is {pins.plugin_version()}"
    return Tool(version, origin, {pins.PLUGIN: path})


def in_folder(folder: Path, origin: str) -> Tool | None:
    """Return the plugin of a folder, or None where there is none that fits."""
    path = folder / pins.PLUGIN
    found = judge(path, origin) if executable(path) else None
    return found if isinstance(found, Tool) else None
