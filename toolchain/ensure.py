"""Get a fitting engine, wherever from, and link it into one folder that goes on PATH."""

from __future__ import annotations

from pathlib import Path

from toolchain import build, installer, on_path, pins
from toolchain.obtain import Origin, Sought, link, obtain
from toolchain.tool import Tool

SWITCH = "CLOUD_ENGINE"


def ensure(links: Path) -> Tool:
    """Find or make a fitting engine and link its files into ``links``.

    Order: PATH, what an earlier run installed or built, the installer, a build. ``CLOUD_ENGINE`` names the only one
    that may be used. Raises ToolMissingError.
    """
    version = pins.engine_version()
    origins = (
        Origin("path", lambda: on_path.find(exclude=links)),
        Origin("installer", installer.kept, installer.install),
        Origin("build", build.kept, build.build),
    )
    remedy = f"install Pulumi {version} or Go (and reach a Go module proxy), then: make engine"
    engine = obtain(Sought("pulumi", version, SWITCH, origins, remedy))
    link(engine.parts, pins.PARTS, links)
    return engine
