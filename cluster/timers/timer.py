"""The text of a timer: two systemd units and a file of variables, logins among them. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster.timers.calendar import on_calendar

MARK = "# made by inference-cloud; pulumi destroy takes it away"
"""First line of each unit: one without it is not ours, and neither written over nor removed."""


@dataclass(frozen=True)
class Timer:
    """What runs when: a ``cloudctl`` command for a stack, in the project folder, by its Python, by a cron line.

    ``task`` is the word in the names of its units and files; ``words`` are the command's. ``what`` says what the
    service does, ``when`` what the timer is for: the units' descriptions.
    """

    task: str
    stack: str
    project: Path
    python: Path
    words: tuple[str, ...]
    schedule: str
    what: str
    when: str

    @property
    def name(self) -> str:
        """Of both units, without their endings."""
        return f"inference-cloud-{self.task}-{self.stack}"

    @property
    def by_hand(self) -> str:
        """The command as a person types it."""
        return shlex.join(("cloudctl", *self.words))

    @property
    def environment_file(self) -> Path:
        """The logins, readable by their owner only."""
        return self.project / ".cloud" / self.stack / f"{self.task}.env"


def units(timer: Timer) -> dict[str, str]:
    """Return file name -> text of the service and of its timer. Raises ValueError for a line that is no cron line."""
    service = f"""\
{MARK}
[Unit]
Description={_plain(timer.what)}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
WorkingDirectory={_plain(str(timer.project))}
EnvironmentFile={_plain(str(timer.environment_file))}
ExecStart={" ".join(_quoted(each) for each in (str(timer.python), "-m", "cloudctl", *timer.words))}
Nice=10
UMask=0077
NoNewPrivileges=yes
"""
    clock = f"""\
{MARK}
[Unit]
Description={_plain(timer.when)}

[Timer]
OnCalendar={on_calendar(timer.schedule)}
Persistent=true

[Install]
WantedBy=timers.target
"""
    return {f"{timer.name}.service": service, f"{timer.name}.timer": clock}


def environment(variables: Mapping[str, str]) -> str:
    """Return the file of variables as systemd reads it. Raises ValueError for a value of several lines."""
    lines = []
    for name, value in sorted(variables.items()):
        if "\n" in value or "\0" in value:
            raise ValueError(f"{name} has several lines")
        escaped = re.sub(r'([\\"$`])', r"\\\1", value)
        lines.append(f'{name}="{escaped}"\n')
    return "".join(lines)


def _plain(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("%", "%%").replace("$", "$$") + '"'
