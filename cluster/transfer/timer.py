"""The text of the timer that runs the transfer: two systemd units and a file of logins. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster.transfer.calendar import on_calendar

MARK = "# made by inference-cloud; pulumi destroy takes it away"
"""First line of each unit: one without it is not ours, and neither written over nor removed."""


@dataclass(frozen=True)
class Timer:
    """What runs when: ``cloudctl models sync`` of a stack, in the project folder, by its Python, by a cron line."""

    stack: str
    project: Path
    python: Path
    source: str
    bucket: str
    schedule: str

    @property
    def name(self) -> str:
        """Of both units, without their endings."""
        return f"inference-cloud-transfer-{self.stack}"

    @property
    def environment_file(self) -> Path:
        """The logins, readable by their owner only."""
        return self.project / ".cloud" / self.stack / "transfer.env"


def units(timer: Timer) -> dict[str, str]:
    """Return file name -> text of the service and of its timer. Raises ValueError for a line that is no cron line."""
    words = ("-m", "cloudctl", "models", "sync", timer.source, "--stack", timer.stack, "--bucket", timer.bucket)
    service = f"""\
{MARK}
[Unit]
Description=New models of stack {_plain(timer.stack)} into the object store
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
WorkingDirectory={_plain(str(timer.project))}
EnvironmentFile={_plain(str(timer.environment_file))}
ExecStart={" ".join(_quoted(each) for each in (str(timer.python), *words))}
Nice=10
UMask=0077
NoNewPrivileges=yes
"""
    clock = f"""\
{MARK}
[Unit]
Description=When new models of stack {_plain(timer.stack)} go into the object store

[Timer]
OnCalendar={on_calendar(timer.schedule)}
Persistent=true

[Install]
WantedBy=timers.target
"""
    return {f"{timer.name}.service": service, f"{timer.name}.timer": clock}


def environment(variables: Mapping[str, str]) -> str:
    """Return the file of logins as systemd reads it. Raises ValueError for a value of several lines."""
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
