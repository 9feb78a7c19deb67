"""Put the stand-ins where the engine finds plugins: executables ``pulumi-resource-NAME`` in a folder on PATH."""

from __future__ import annotations

import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("libvirt", "command", "kubernetes")


def install(bin_dir: Path, python: Path) -> list[Path]:
    """Write the wrappers into ``bin_dir`` for an interpreter that has the project's requirements; return their paths.

    A wrapper starts the interpreter in its own place (``exec``), so that the engine is the plugin's parent and the
    plugin ends with it. The project's root is put on the interpreter's path, not into PYTHONPATH: commands that the
    command plugin really runs inherit its environment, and must not find ours there.
    """
    bin_dir.mkdir(parents=True, exist_ok=True)
    written = []
    for name in NAMES:
        path = bin_dir / f"pulumi-resource-{name}"
        run = f"runpy.run_module('lab.plugins.{name}', None, '__main__')"
        start = f"import runpy, sys; sys.path.insert(0, {str(ROOT)!r}); {run}"
        text = f"#!/bin/sh\nexec {shlex.quote(str(python.absolute()))} -P -c {shlex.quote(start)}\n"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
        path.chmod(0o755)
        written.append(path)
    return written
