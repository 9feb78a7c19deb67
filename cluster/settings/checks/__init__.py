"""Checks that need more than one field: each reads what of the settings is well formed and returns its problems."""

from __future__ import annotations

from cluster.problems import Problem
from cluster.settings.checks import (
    alerts,
    backup,
    capacity,
    drivers,
    gpus,
    hardware,
    hosts,
    hpc,
    kubernetes,
    machines,
    models,
    network,
    secrets,
    versions,
)
from cluster.settings.draft import Draft


def version_problems(draft: Draft) -> list[Problem]:
    """Return the problems of what is installed: versions that do not go together, and who installs them."""
    return [problem for part in (kubernetes.check, versions.check, drivers.check) for problem in part(draft)]


def check(draft: Draft) -> list[Problem]:
    """Return every problem between the fields of a stack's settings, in the order of the file's sections."""
    parts = (
        hosts.check,
        network.check,
        machines.check,
        hardware.check,
        gpus.check,
        kubernetes.check,
        versions.check,
        drivers.check,
        models.check,
        backup.check,
        capacity.check,
        hpc.check,
        alerts.check,
        secrets.check,
    )
    return [problem for part in parts for problem in part(draft)]
