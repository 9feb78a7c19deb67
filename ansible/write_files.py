"""Write the files of a JSON object, path -> text, into a folder: all of it new, or the folder stays as it was."""

import json
import shutil
import sys
from pathlib import Path


def write(folder: Path, files: dict[str, str]) -> None:
    """Replace ``folder`` by one with just these files; a path may not leave the folder."""
    fresh = folder.with_name(folder.name + ".part")
    shutil.rmtree(fresh, ignore_errors=True)
    for name, text in files.items():
        path = (fresh / name).resolve()
        if not path.is_relative_to(fresh.resolve()):
            raise SystemExit(f"{name}: leaves the folder {folder}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


if __name__ == "__main__":
    write(Path(sys.argv[1]), json.load(sys.stdin))
