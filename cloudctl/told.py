"""After a timer's command: what became of it is told to the monitoring, where the settings name a place for that."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cloudctl import console
from cluster.settings.model import Settings


@dataclass
class Ending:
    """Set ``ok`` where the work ended well; what raises has not. ``versions``: as in ``cluster.textfile.Run``."""

    ok: bool = False
    versions: Mapping[str, int] | None = None


@contextmanager
def told(settings: Settings, stack: str, task: str) -> Iterator[Ending]:
    """Time a task and write how it ended; a folder that cannot be written is said, and no reason to fail."""
    begun, ending = time.monotonic(), Ending()
    try:
        yield ending
    finally:
        if settings.monitoring.textfiles:
            _write(Path(settings.monitoring.textfiles), stack, task, ending, time.monotonic() - begun)


def _write(folder: Path, stack: str, task: str, ending: Ending, seconds: float) -> None:
    from cluster.textfile import Run, tell

    try:
        tell(folder, stack, Run(task, ending.ok, seconds, versions=ending.versions))
    except OSError as error:
        console.note(
            f"monitoring is not told of this {task}: {folder}: {error.strerror}; let this user write there, or take"
            " monitoring.textfiles out of the stack file"
        )
