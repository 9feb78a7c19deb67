"""Write the files of a JSON object, path -> text, into a folder: all of it new, or the folder stays as it was."""

from __future__ import annotations

import shutil
from pathlib import Path

from cluster.steps.errors import StepError


def write(folder: Path, files: dict[str, str]) -> None:
    """Replace ``folder`` by one with just these files; a path may not leave the folder."""
    fresh = folder.with_name(folder.name + ".part")
    shutil.rmtree(fresh, ignore_errors=True)
    for name, text in files.items():
        path = (fresh / name).resolve()
        if not path.is_relative_to(fresh.resolve()):
            raise StepError(f"{name}: leaves the folder {folder}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
