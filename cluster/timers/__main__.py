"""``python -m cluster.timers up|down TASK``: the timer of a task on this machine, and away again.

Told by environment variables: STACK and SCHEDULE, and what the task itself needs (``cluster/transfer/timer.py``,
``cluster/backup/timer.py``). Both may be run again without harm. Run by root the units are the system's, else the
user's own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from cluster.backup.timer import TASK as BACKUP
from cluster.timers.install import InstallError, Machine, put_in, take_out
from cluster.timers.task import Task
from cluster.transfer.timer import TASK as TRANSFER

TASKS: Mapping[str, Task] = {"transfer": TRANSFER, "backup": BACKUP}


def up(task: Task, told: Mapping[str, str], project: Path, machine: Machine) -> str:
    """Put the timer in; return a line about it. Raises InstallError."""
    # Not resolved: a virtual environment's Python is a link, and is the environment by its place.
    timer = task.timer(told, project, Path(sys.executable))
    put_in(timer, lambda: task.variables(told, timer), machine)
    return f"{timer.name}.timer is on: {timer.schedule}, {task.about(told)}"


def down(task: Task, told: Mapping[str, str], project: Path, machine: Machine) -> str:
    """Take the timer out; return a line about it."""
    timer = task.timer({"SCHEDULE": "@daily", **told}, project, Path(sys.executable))
    take_out(timer, machine, task.files(timer))
    return f"{timer.name}.timer is gone"


def main(words: list[str]) -> int:
    """Run; return the exit status."""
    if len(words) != 2 or words[0] not in ("up", "down") or words[1] not in TASKS or not os.environ.get("STACK"):
        print(f"usage: STACK=... python -m cluster.timers up|down {'|'.join(TASKS)}", file=sys.stderr)
        return 2
    try:
        print((up if words[0] == "up" else down)(TASKS[words[1]], os.environ, Path.cwd(), Machine.here()))
    except (InstallError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
