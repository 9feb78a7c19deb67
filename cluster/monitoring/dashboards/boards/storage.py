"""MLflow and what it stands on: object store, PostgreSQL, volumes, backups."""

from __future__ import annotations

from cluster.monitoring.dashboards.panels import Panel, board, number, series
from cluster.monitoring.names import MLFLOW, POSTGRES, STORE, TEXTFILES
from cluster.monitoring.rules.database import LAST_BASE
from cluster.monitoring.rules.volumes import SIZE, USED
from cluster.textfile import LAST_SUCCESS, SUCCESS

_STORE = f'namespace="{STORE}"'
_MLFLOW = f'namespace="{MLFLOW}"'
_POSTGRES = f'job="{POSTGRES}"'
_BACKUP = f'job=~"{TEXTFILES}", task=~"backup(/.+)?"'
_LATE = 'ALERTS{alertstate="firing", alertname=~"(Database)?Backup(Late|Missing)"}'
_RATE = "[$__rate_interval]"
_FULL = f"{USED} / on (namespace, persistentvolumeclaim) {SIZE}"


def board_() -> str:
    """Return the dashboard."""
    took = f"sum by (le) (rate(mlflow_http_request_duration_seconds_bucket{{{_MLFLOW}}}{_RATE}))"
    return board(
        "MLflow and storage",
        "MLflow, and what it stands on: object store, PostgreSQL, volumes, backups.",
        [
            (
                "Now",
                [
                    number("MLflow", f"max(up{{{_MLFLOW}}})", good_from=1),
                    number("Object store", f"max(up{{{_STORE}}})", good_from=1),
                    number("PostgreSQL instances", f"sum(cnpg_collector_up{{{_POSTGRES}}})", good_from=1),
                    number("Fullest volume", f"max({_FULL})", "percentunit", bad_from=0.9),
                    number("Oldest backup", f"max(time() - {LAST_SUCCESS}{{{_BACKUP}}})", "s"),
                    # What is late depends on the stack's schedules, and the alerts know them.
                    number(
                        "Backups late or failed",
                        f"(count({_LATE}) or vector(0)) + (count({SUCCESS}{{{_BACKUP}}} == 0) or vector(0))",
                        bad_from=1,
                    ),
                ],
            ),
            (
                "MLflow",
                [
                    series(
                        "Requests",
                        [(f"sum by (status) (rate(mlflow_http_request_total{{{_MLFLOW}}}{_RATE}))", "{{status}}")],
                        "reqps",
                    ),
                    series(
                        "Latency",
                        [(f"histogram_quantile({of}, {took})", f"P{of * 100:.0f}") for of in (0.5, 0.95)],
                        "s",
                        5,
                    ),
                ],
            ),
            ("Object store", _store()),
            ("PostgreSQL", _postgres()),
            (
                "Volumes and backups",
                [
                    series("Volumes in use", [(_FULL, "{{namespace}}/{{persistentvolumeclaim}}")], "percentunit", 0.9),
                    series(
                        "Age of the last good backup",
                        [
                            (f"time() - {LAST_SUCCESS}{{{_BACKUP}}}", "{{task}}"),
                            (f"time() - (max({LAST_BASE}{{{_POSTGRES}}}) > 0)", "base backup of PostgreSQL"),
                        ],
                        "s",
                    ),
                ],
            ),
        ],
    )


def _store() -> list[Panel]:
    return [
        series(
            "Requests",
            [
                (f"sum by (api) (rate(minio_s3_requests_total{{{_STORE}}}{_RATE}))", "{{api}}"),
                (f"sum by (type) (rate(SeaweedFS_s3_request_total{{{_STORE}}}{_RATE}))", "{{type}}"),
            ],
            "reqps",
        ),
        series(
            "Failed requests",
            [
                (f"sum by (api) (rate(minio_s3_requests_5xx_errors_total{{{_STORE}}}{_RATE}))", "{{api}}"),
                (f'sum by (type) (rate(SeaweedFS_s3_request_total{{{_STORE}, code=~"5.."}}{_RATE}))', "{{type}}"),
            ],
            "reqps",
            1,
        ),
        series(
            "Traffic",
            [
                (f"sum(rate(minio_s3_traffic_received_bytes{{{_STORE}}}{_RATE}))", "in"),
                (f"sum(rate(minio_s3_traffic_sent_bytes{{{_STORE}}}{_RATE}))", "out"),
            ],
            "Bps",
        ),
        series(
            "Kept",
            [
                (f"max(minio_cluster_usage_total_bytes{{{_STORE}}})", "objects"),
                (f"max(minio_cluster_capacity_usable_free_bytes{{{_STORE}}})", "free on its file system"),
            ],
            "bytes",
        ),
    ]


def _postgres() -> list[Panel]:
    return [
        series(
            "Connections",
            [(f"sum by (pod, state) (cnpg_backends_total{{{_POSTGRES}}})", "{{pod}} {{state}}")],
        ),
        series("Size", [(f"max by (datname) (cnpg_pg_database_size_bytes{{{_POSTGRES}}})", "{{datname}}")], "bytes"),
        series("Behind the primary", [(f"cnpg_pg_replication_lag{{{_POSTGRES}}}", "{{pod}}")], "s", 60),
        series(
            "WAL files that wait to be archived",
            [(f'cnpg_collector_pg_wal_archive_status{{{_POSTGRES}, value="ready"}}', "{{pod}}")],
            limit=10,
        ),
    ]
