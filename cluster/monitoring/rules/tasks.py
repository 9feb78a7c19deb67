"""Our timers, by the textfiles that they write (``cluster.textfile``): the transfer of models, and backups."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.monitoring.names import TEXTFILES
from cluster.monitoring.remark import timers_are_heard
from cluster.monitoring.rules.rule import HOUR, Alert, Rule, late_after_s
from cluster.settings.model import Backup, Settings
from cluster.textfile import LAST_SUCCESS, SUCCESS


def rules(settings: Settings, stack: str) -> Iterable[Rule]:
    """Yield them, for the tasks that this stack has now: a host may hold others' files as well, and older ones."""
    if not timers_are_heard(settings):
        return
    mine = f'job=~"{TEXTFILES}", stack="{stack}"'
    if settings.transfer:
        yield from _transfer(mine, _seconds(settings.monitoring.transfer_late_hours, settings.transfer.schedule))
    if settings.backup:
        yield from _backup(
            mine, settings.backup, _seconds(settings.monitoring.backup_late_hours, settings.backup.schedule)
        )
    tasks = [*(["transfer"] if settings.transfer else []), *([_backups(settings.backup)] if settings.backup else [])]
    if tasks:
        yield Alert(
            "TaskFailed",
            f'{SUCCESS}{{{mine}, task=~"{"|".join(tasks)}"}} == 0',
            0,
            "warning",
            "the last {{ $labels.task }} of stack {{ $labels.stack }} failed",
        )


def _transfer(mine: str, late_s: int) -> Iterable[Rule]:
    last = f'{LAST_SUCCESS}{{{mine}, task="transfer"}}'
    hours = f"{late_s / HOUR:g}"
    yield Alert(
        "TransferLate",
        f"time() - {last} > {late_s}",
        10,
        "warning",
        f"no transfer of models ended well in {hours} hours",
    )
    yield Alert(
        "TransferMissing",
        f"absent({last})",
        late_s // 60,
        "warning",
        f"nobody tells of a transfer of models that ended well, for {hours} hours now",
    )


def _backup(mine: str, backup: Backup, late_s: int) -> Iterable[Rule]:
    yield Alert(
        "BackupLate",
        f'time() - {LAST_SUCCESS}{{{mine}, task=~"{_backups(backup)}"}} > {late_s}',
        10,
        "critical",
        "the last {{ $labels.task }} that ended well is {{ $value | humanizeDuration }} old",
    )
    yield Alert(
        "BackupMissing",
        # the whole only: a part with nothing to back up tells nothing, and one that failed makes the whole fail
        f'absent({LAST_SUCCESS}{{{mine}, task="backup"}})',
        late_s // 60,
        "critical",
        f"nobody tells of a backup that ended well, for {late_s / HOUR:g} hours now",
    )


def _backups(backup: Backup) -> str:
    """Return the tasks of a backup, as a regular expression: the whole, and the parts that it has now."""
    return f"backup(/({'|'.join(backup.parts)}))?"


def _seconds(hours: int | None, schedule: str) -> int:
    return late_after_s(schedule) if hours is None else hours * HOUR
