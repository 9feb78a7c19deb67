"""Every dashboard, a module each."""

from __future__ import annotations

from collections.abc import Callable

from cluster.monitoring.dashboards.boards import both, cluster, gpus, hosts, inference, pipeline, storage

BOARDS: tuple[Callable[[], str], ...] = (
    cluster.board_,
    gpus.board_,
    inference.board_,
    storage.board_,
    hosts.board_,
    both.board_,
    pipeline.board_,
)
