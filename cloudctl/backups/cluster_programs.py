"""The way to PostgreSQL in the cluster: its pod's own programs by kubectl, and a base backup by CloudNativePG."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from cloudctl.backups.ground import Ground
from cluster.backup.errors import BackupError
from cluster.backup.programs import Programs
from cluster.kubectl import Kubectl, KubectlError
from cluster.render.values import plugin_barman_cloud
from cluster.services.inside import DATABASE

CLUSTER = "postgres"
_CONTAINER = "postgres"
_BASE_S = 3600.0
_PAUSE_S = 5.0


def programs(ground: Ground) -> Programs:
    """Return where PostgreSQL's programs run: here for ``DATABASE_URL``, else in the primary's pod; or BackupError."""
    if url := ground.environment.get("DATABASE_URL"):
        return Programs((), {**ground.environment, **login(url)})
    primary = str(_get(ground, "cluster.postgresql.cnpg.io", CLUSTER).get("status", {}).get("currentPrimary") or "")
    if not primary:
        raise BackupError("PostgreSQL has no primary; see: kubectl --namespace database get cluster postgres")
    words = ("exec", "--stdin", "--quiet", primary, f"--container={_CONTAINER}", "--")
    return Programs((*_kubectl(ground).words, *words), ground.environment)


def login(url: str) -> dict[str, str]:
    """Return libpq's variables of a login: a password on a command line could be read by everybody."""
    from psycopg.conninfo import conninfo_to_dict

    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "sslmode": "PGSSLMODE"}
    found = conninfo_to_dict(url)
    return {names[key]: str(value) for key, value in found.items() if key in names and value is not None}


def base_backup(ground: Ground, say: Callable[[str], None]) -> None:
    """Have CloudNativePG make a base backup now, and wait for its end. Raises BackupError."""
    wish = {
        "apiVersion": "postgresql.cnpg.io/v1",
        "kind": "Backup",
        "metadata": {"generateName": f"{CLUSTER}-by-hand-", "namespace": DATABASE.namespace},
        "spec": {
            "method": "plugin",
            "cluster": {"name": CLUSTER},
            "pluginConfiguration": {"name": plugin_barman_cloud.NAME},
        },
    }
    made = _asked(ground, "create", "--filename=-", given=json.dumps(wish))
    name, deadline = str(made["metadata"]["name"]), time.monotonic() + _BASE_S
    say(f"postgres: base backup {name}")
    while True:
        status = _get(ground, "backup.postgresql.cnpg.io", name).get("status", {})
        if status.get("phase") == "completed":
            return
        if status.get("phase") in ("failed", "walArchivingFailing"):
            raise BackupError(
                f"base backup {name}: {status.get('error') or status['phase']}; see:"
                f" kubectl --namespace {DATABASE.namespace} describe backup {name}"
            )
        if time.monotonic() > deadline:
            raise BackupError(f"base backup {name} did not end within an hour; it goes on without this command")
        time.sleep(_PAUSE_S)


def _get(ground: Ground, kind: str, name: str) -> dict[str, Any]:
    return dict(_asked(ground, "get", kind, name))


def _kubectl(ground: Ground) -> Kubectl:
    return Kubectl(ground.kubeconfig, DATABASE.namespace)


def _asked(ground: Ground, *words: str, given: str = "") -> Any:
    if not ground.kubeconfig.is_file():
        raise BackupError(
            f"there is no {ground.kubeconfig}; fetch it by an update: cloudctl start --stack {ground.stack}"
        )
    try:
        return _kubectl(ground).json(*words, given=given)
    except KubectlError as error:
        raise BackupError(str(error)) from None
