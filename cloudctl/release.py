"""The project's own version: it stands once, in pyproject.toml, and a release's tag is ``v`` and this."""

from __future__ import annotations

import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def version() -> str:
    """Return the version, for example ``0.1.0``."""
    return str(tomllib.loads(PROJECT.read_text("utf-8"))["project"]["version"])
