"""First origin: a fitting pulumi that is on PATH already."""

from __future__ import annotations

from pathlib import Path

from toolchain import pins
from toolchain.engine import version_of
from toolchain.problems import NotHadError
from toolchain.tool import Tool, executable, path_without


def find(exclude: Path) -> Tool:
    """Return the first engine on PATH that fits, with its language host and policy scripts.

    ``exclude`` is the folder of links that this package writes: it may be on PATH, and must not be taken for an origin.
    """
    folders = path_without(exclude)
    reasons: list[str] = []
    for pulumi in (folder / "pulumi" for folder in folders):
        if not executable(pulumi):
            continue
        found = _judge(pulumi, folders)
        if isinstance(found, Tool):
            return found
        reasons.append(found)
    raise NotHadError(f"path: {'; '.join(dict.fromkeys(reasons)) or 'no pulumi on PATH'}")


def _judge(pulumi: Path, folders: list[Path]) -> Tool | str:
    version = version_of(pulumi)
    numbers = pins.parse(version)
    if not pins.fits(numbers):
        return f"{pulumi} is {version}, needed is {pins.supported()}"
    beside = list(dict.fromkeys([pulumi.parent, pulumi.resolve().parent]))
    # Only the pinned engine works with a language host of another release, see pins.
    places = [*beside, *folders] if numbers == pins.pinned() else beside
    parts = {"pulumi": pulumi}
    for name in pins.PARTS[1:]:
        here = next((folder / name for folder in places if executable(folder / name)), None)
        if here:
            parts[name] = here
    missing = [name for name in pins.NEEDED if name not in parts]
    if missing:
        return f"{pulumi} {version} comes without {', '.join(missing)}"
    return Tool(version, "path", parts)
