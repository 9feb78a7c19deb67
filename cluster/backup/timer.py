"""The backups' timer: what it runs, and what goes with it.

Told: PLACE, STORE and DATABASE for a line about it; BACKUP_PASSWORD and BACKUP_PLACE_SECRET_KEY, which the service
finds under the same names. PATH, HOME and PULUMI_BACKEND_URL are those of the update that puts the timer in: the
service calls kubectl, restic, ssh and Pulumi.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from cluster.backup.errors import NO_RESTIC
from cluster.timers.task import Task, Told
from cluster.timers.timer import Timer

PASSWORD, PLACE_KEY = "BACKUP_PASSWORD", "BACKUP_PLACE_SECRET_KEY"
_KEPT = (PASSWORD, PLACE_KEY, "PATH", "HOME", "PULUMI_BACKEND_URL")


def timer(told: Told, project: Path, python: Path) -> Timer:
    """Return the timer that is told."""
    stack = told["STACK"]
    return Timer(
        task="backup",
        stack=stack,
        project=project,
        python=python,
        words=("backup", "run", "--stack", stack),
        schedule=told["SCHEDULE"],
        what=f"Backups of stack {stack}",
        when=f"When stack {stack} is backed up",
    )


def _about(told: Told) -> str:
    missing = "" if shutil.which("restic", path=told.get("PATH")) else f"; {NO_RESTIC}"
    return f"{told['STORE']} and {told['DATABASE']} among others into {told['PLACE']}{missing}"


TASK = Task(timer, lambda told, _: {name: told[name] for name in _KEPT if told.get(name)}, about=_about)
