"""Our timers, by the textfiles that they write (``cluster.textfile``): the transfer of models, and backups."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.monitoring.names import TEXTFILES
from cluster.monitoring.rules.rule import HOUR, Alert, Rule
from cluster.settings.model import Settings
from cluster.textfile import LAST_SUCCESS, SUCCESS


def told(settings: Settings) -> bool:
    """Return whether timers tell how they did, and somebody reads it."""
    read = settings.monitoring.timers or any(host.exporters.node for host in settings.hosts)
    return bool(settings.monitoring.textfiles and read)


def rules(settings: Settings, stack: str) -> Iterable[Rule]:
    """Yield them, for the tasks of this stack alone: a host may hold others' files as well."""
    if not told(settings):
        return
    mine = f'job=~"{TEXTFILES}", stack="{stack}"'
    if settings.transfer:
        last = f'{LAST_SUCCESS}{{{mine}, task="transfer"}}'
        yield Alert(
            "TransferLate",
            f"time() - {last} > {settings.monitoring.transfer_late_hours * HOUR} or absent({last})",
            10,
            "warning",
            f"no transfer of models ended well in {settings.monitoring.transfer_late_hours} hours",
        )
    yield Alert(
        "BackupLate",
        f'time() - {LAST_SUCCESS}{{{mine}, task=~"backup(/.+)?"}} > {settings.monitoring.backup_late_hours * HOUR}',
        10,
        "critical",
        "the last {{ $labels.task }} that ended well is {{ $value | humanizeDuration }} old",
    )
    yield Alert(
        "TaskFailed",
        f"{SUCCESS}{{{mine}}} == 0",
        0,
        "warning",
        "the last {{ $labels.task }} of stack {{ $labels.stack }} failed",
    )
