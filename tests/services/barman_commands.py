"""What CloudNativePG's plugin makes of an ObjectStore: the command lines of Barman's cloud tools, and their login.

Pure. Each rule names the function of cloudnative-pg/barman-cloud that it follows, at the commit that plugin v0.13.0 was
built with. The tools themselves are Barman 3.19.1, in the plugin's sidecar as in requirements-services.txt.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Spec = Mapping[str, Any]
"""The spec of an ObjectStore."""


def login(spec: Spec, secrets: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the environment: pkg/credentials/env.go, envSetAWSCredentials."""
    keys = spec["configuration"]["s3Credentials"]
    names = {
        "accessKeyId": "AWS_ACCESS_KEY_ID",
        "secretAccessKey": "AWS_SECRET_ACCESS_KEY",
        "region": "AWS_DEFAULT_REGION",
    }
    return {names[key]: secrets[reference["name"]][reference["key"]] for key, reference in keys.items()}


def wal_archive(spec: Spec, server: str) -> list[str]:
    """Return the words before the file: pkg/archiver/command.go, BarmanCloudWalArchiveOptions."""
    compression = spec["configuration"].get("wal", {}).get("compression")
    return ["barman-cloud-wal-archive", *([f"--{compression}"] if compression else []), *_place(spec, server)]


def base_backup(spec: Spec, server: str, name: str) -> list[str]:
    """Return the command: pkg/backup/backup.go, GetBarmanCloudBackupOptions. libpq's variables name the server."""
    data = spec["configuration"].get("data", {})
    words = ["barman-cloud-backup", "--user", "postgres", "--name", name]
    words += [f"--{data['compression']}"] if data.get("compression") else []
    words += ["--immediate-checkpoint"] if data.get("immediateCheckpoint") else []
    return [*words, *_place(spec, server)]


def backup_list(spec: Spec, server: str) -> list[str]:
    """Return the command: pkg/command/backuplist.go, executeQueryCommand."""
    return ["barman-cloud-backup-list", "--format", "json", *_place(spec, server)]


def restore(spec: Spec, server: str, backup: str, folder: str) -> list[str]:
    """Return the command: the plugin's internal/cnpgi/restore/restore.go, restoreDataDir."""
    return ["barman-cloud-restore", *_place(spec, server), backup, folder]


def wal_restore(spec: Spec, server: str) -> list[str]:
    """Return the words before file and target: pkg/command/commandbuilder.go, CloudWalRestoreOptions."""
    return ["barman-cloud-wal-restore", *_place(spec, server)]


def _place(spec: Spec, server: str) -> list[str]:
    configuration = spec["configuration"]
    options = ["--endpoint-url", configuration["endpointURL"], "--cloud-provider", "aws-s3"]
    return [*options, configuration["destinationPath"], server]
