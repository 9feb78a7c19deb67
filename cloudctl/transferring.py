"""What ``cloudctl models sync`` works with: folder, bucket, logins, memory, and the lock that keeps two runs apart."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from cloudctl import authority, project
from cloudctl.engine import Engine
from cloudctl.exits import CannotTellError, RefusedError
from cloudctl.told import told
from cluster.problems import InputError, Problem
from cluster.render import addresses, credentials
from cluster.services.logins import MLflowLogin, S3Login, mlflow_from, s3_from
from cluster.settings.model import Settings
from cluster.transfer.model import Report
from cluster.transfer.sync import Progress, Wish, sync


@dataclass(frozen=True)
class Place:
    """Where from and where to, for which stack; ``mlflow`` is None where nothing is to be registered."""

    stack: str
    settings: Settings
    source: Path
    bucket: str
    s3: S3Login
    mlflow: MLflowLogin | None
    state: Path


def place(
    chosen: project.Stack,
    source: Path | None,
    bucket: str | None,
    *,
    register: bool,
    environment: Mapping[str, str] = os.environ,
) -> Place:
    """Return where a transfer goes. Raises InputError with what is not told, CannotTellError without the engine."""
    settings = chosen.settings()
    wish = settings.transfer
    if source is None and wish is None:
        remedy = "name it: cloudctl models sync FOLDER; or give the stack a section transfer"
        raise InputError("command line", [Problem("FOLDER", None, "is not told, and the stack has none", remedy)])
    s3, mlflow = s3_from(environment), mlflow_from(environment)
    if s3 is None or (register and mlflow is None):
        passwords = Engine(project.root()).secrets(chosen.name, chosen.file)
        signed_by = authority.file(chosen.name, settings)
        ca_file = str(signed_by) if signed_by else None
        s3 = s3 or _s3(settings, passwords, ca_file)
        mlflow = mlflow or _mlflow(settings, passwords, ca_file)
    return Place(
        chosen.name,
        settings,
        (source or Path(wish.source if wish else "")).absolute(),
        bucket or (wish.bucket if wish else "models"),
        s3,
        mlflow if register else None,
        project.root() / ".cloud" / chosen.name / "transfer.db",
    )


def run(wish: Wish, where: Place, progress: Progress) -> Report:
    """Transfer. Raises RefusedError where another run is at it, CannotTellError where a service does not answer."""
    from filelock import FileLock, Timeout

    from cluster.transfer.errors import TransferError

    where.state.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(where.state.with_suffix(".lock"), timeout=0)
    try:
        with lock:
            return _sync(wish, where, progress)
    except Timeout:
        raise RefusedError(
            f"another transfer of this stack is running (it holds {lock.lock_file}); wait for it, it does the same"
        ) from None
    except TransferError as error:
        raise CannotTellError(str(error)) from None


def _sync(wish: Wish, where: Place, progress: Progress) -> Report:
    if wish.dry_run:
        return sync(wish, where.s3, where.mlflow, where.state, progress)
    with told(where.settings, where.stack, "transfer") as ending:
        report = sync(wish, where.s3, where.mlflow, where.state, progress)
        ending.ok = report.ok
        # a run that was told to take some only has not seen the others
        ending.versions = None if wish.only else report.stages()
    return report


def _s3(settings: Settings, passwords: Mapping[str, Any], ca_file: str | None) -> S3Login:
    endpoint = (settings.transfer and settings.transfer.endpoint) or addresses.url("s3", settings)
    password = SecretStr(str(passwords["object_store_mlflow_password"]))
    return S3Login(endpoint, credentials.STORE_USER, password, ca_file=ca_file)


def mlflow_url(settings: Settings) -> str:
    """Return where the stack's own MLflow answers from outside."""
    return (settings.transfer and settings.transfer.mlflow) or addresses.url("mlflow", settings)


def _mlflow(settings: Settings, passwords: Mapping[str, Any], ca_file: str | None) -> MLflowLogin:
    return MLflowLogin(
        mlflow_url(settings), credentials.MLFLOW_ADMIN, SecretStr(str(passwords["mlflow_admin_password"])), ca_file
    )
