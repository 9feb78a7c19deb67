"""etcd of Kubespray and kubeadm; k3s keeps its state by itself. Limits after etcd's guides to hardware and tuning."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.monitoring.names import ETCD
from cluster.monitoring.rules.rule import Alert, Rule

_JOB = f'job="{ETCD}"'


def rules() -> Iterable[Rule]:
    """Yield them."""
    yield Alert(
        "EtcdMemberDown",
        f"up{{{_JOB}}} == 0",
        3,
        "critical",
        "etcd member {{ $labels.instance }} does not answer",
    )
    yield Alert(
        "EtcdNoLeader",
        f"etcd_server_has_leader{{{_JOB}}} == 0",
        1,
        "critical",
        "etcd member {{ $labels.instance }} sees no leader: nothing can be changed in the cluster",
    )
    yield Alert(
        "EtcdLeaderChanges",
        f"increase(etcd_server_leader_changes_seen_total{{{_JOB}}}[1h]) > 3",
        5,
        "warning",
        "etcd changed its leader {{ $value | humanize }} times within an hour: its disks or its network are too slow",
    )
    fsync = f"sum by (instance, le) (rate(etcd_disk_wal_fsync_duration_seconds_bucket{{{_JOB}}}[5m]))"
    commit = f"sum by (instance, le) (rate(etcd_disk_backend_commit_duration_seconds_bucket{{{_JOB}}}[5m]))"
    yield Alert(
        "EtcdDiskSlow",
        f"histogram_quantile(0.99, {fsync}) > 0.1 or histogram_quantile(0.99, {commit}) > 0.25",
        10,
        "warning",
        "the disk under etcd member {{ $labels.instance }} takes {{ $value | humanizeDuration }} to write (P99)",
    )
    yield Alert(
        "EtcdDatabaseFull",
        f"etcd_mvcc_db_total_size_in_bytes{{{_JOB}}} / etcd_server_quota_backend_bytes{{{_JOB}}} > 0.8",
        10,
        "critical",
        "etcd member {{ $labels.instance }} has used {{ $value | humanizePercentage }} of its quota;"
        " at 100% it takes no more writes",
    )
