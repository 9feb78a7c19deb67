"""PostgreSQL by CloudNativePG: up, replicated, archived and backed up as far as it does so itself."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.monitoring.names import POSTGRES
from cluster.monitoring.rules.rule import Alert, Rule, late_after_s
from cluster.render import store_users
from cluster.settings.model import Backup, Settings

LAST_BASE = "barman_cloud_cloudnative_pg_io_last_available_backup_timestamp"

_JOB = f'job="{POSTGRES}"'
_POD = "instance {{ $labels.pod }}"


def rules(settings: Settings) -> Iterable[Rule]:
    """Yield them; replication is looked at where there is more than one instance."""
    instances = settings.database.instances
    yield Alert(
        "DatabaseDown",
        f"absent(cnpg_collector_up{{{_JOB}}} == 1)",
        5,
        "critical",
        "no PostgreSQL instance answers; MLflow cannot work",
    )
    if instances > 1:
        yield from _replication(instances)
    yield Alert(
        "DatabaseConnectionsHigh",
        f"sum by (pod) (cnpg_backends_total{{{_JOB}}})"
        f' / on (pod) cnpg_pg_settings_setting{{{_JOB}, name="max_connections"}} > 0.8',
        10,
        "warning",
        f"{{{{ $value | humanizePercentage }}}} of the connections of PostgreSQL {_POD} are taken",
    )
    yield Alert(
        "DatabaseWalNotArchived",
        f'cnpg_collector_pg_wal_archive_status{{{_JOB}, value="ready"}} > 10',
        15,
        "critical",
        f"{{{{ $value }}}} WAL files of PostgreSQL {_POD} wait to be archived: what is restored would be old, and its"
        " volume fills",
    )
    if settings.backup and store_users.archives(settings):
        yield from _base_backups(settings.backup)


def _base_backups(backup: Backup) -> Iterable[Rule]:
    """Yield what holds the plugin's base backups to their own schedule: without one the log is of no use.

    The plugin gives out when the last one ended, 0 where there is none, and every instance the same
    (plugin-barman-cloud, internal/cnpgi/instance/metrics.go); CloudNativePG's own measure of that name stays at 0.
    """
    last = f"max({LAST_BASE}{{{_JOB}}})"
    yield Alert(
        "DatabaseBackupLate",
        f"time() - ({last} > 0) > {late_after_s(backup.postgres.schedule)}",
        30,
        "critical",
        "the last base backup of PostgreSQL is {{ $value | humanizeDuration }} old, older than its schedule allows",
    )
    yield Alert(
        "DatabaseBackupMissing",
        f"{last} == 0",
        120,
        "critical",
        "PostgreSQL has no base backup in its archive: nothing can be restored from the write-ahead log",
    )


def _replication(instances: int) -> Iterable[Rule]:
    yield Alert(
        "DatabaseReplicaMissing",
        f"count(cnpg_collector_up{{{_JOB}}} == 1) < {instances}",
        10,
        "warning",
        f"{{{{ $value }}}} of {instances} PostgreSQL instances are up",
    )
    replica = f"cnpg_pg_replication_in_recovery{{{_JOB}}} == 1"
    yield Alert(
        "DatabaseReplicationBroken",
        f"cnpg_pg_replication_is_wal_receiver_up{{{_JOB}}} == 0 and on (pod) {replica}",
        5,
        "critical",
        f"PostgreSQL {_POD} receives nothing from the primary",
    )
    yield Alert(
        "DatabaseReplicationLag",
        f"cnpg_pg_replication_lag{{{_JOB}}} > 60",
        5,
        "warning",
        f"PostgreSQL {_POD} is {{{{ $value | humanizeDuration }}}} behind the primary",
    )
