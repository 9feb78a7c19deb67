"""The first minutes of a rehearsal: stand-in plugins on a path of their own, an empty stack, thrown-away secrets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lab.engine import quiet
from lab.plugins.install import install
from lab.workspace import ROOT, Workspace, toolchain_bin


def initialise(place: Workspace) -> None:
    """Make the stack and its secrets where they are missing; harmless to run again.

    Raises RuntimeError with the reason.
    """
    if toolchain_bin() is None and not _on_path("pulumi"):
        raise RuntimeError("there is no pulumi on PATH and none was built; make one with: make engine")
    install(place.home / "bin", Path(sys.executable))
    if not place.state_file.exists():
        quiet(place, "stack", "init", place.stack)
    words = [
        sys.executable,
        "-m",
        "cloudctl",
        "init",
        place.stack,
        "--if-missing",
        "--config-file",
        str(place.config_file),
    ]
    done = subprocess.run(words, cwd=ROOT, env=place.environment(), capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"cloudctl init: {(done.stderr or done.stdout).strip()}")


def _on_path(program: str) -> bool:
    return any((Path(folder) / program).exists() for folder in os.environ.get("PATH", "").split(os.pathsep))
