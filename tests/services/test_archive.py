"""PostgreSQL's write-ahead log in the object store: back to a moment after the last base backup."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cluster.render import credentials
from lab.services.stack import Stack
from tests.services import barman_commands as barman
from tests.services.archiving import SERVER, Sidecar, server

MOVED = f"{SERVER}-20261129T023000Z"

pytestmark = [pytest.mark.daemon, pytest.mark.xdist_group("services")]


@pytest.fixture
def sidecar(stack: Stack) -> Sidecar:
    folder = stack.folder / "archiving"
    folder.mkdir(mode=0o711)
    return Sidecar(stack, folder)


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def aside(client: Any) -> str:
    """Move the archive to where a restore of the bucket puts it; return its name there."""
    where = credentials.POSTGRES_BACKUPS
    for each in client.list_objects_v2(Bucket=where)["Contents"]:
        target = f"{MOVED}/{each['Key'].partition('/')[2]}"
        client.copy_object(Bucket=where, Key=target, CopySource={"Bucket": where, "Key": each["Key"]})
        client.delete_object(Bucket=where, Key=each["Key"])
    return MOVED


def test_rows_written_after_the_base_backup_come_back_up_to_a_moment(sidecar: Sidecar, stack: Stack) -> None:
    data = sidecar.folder / "first" / "data"
    archive = sidecar.ask("archive", data, "%p")
    with (
        sidecar.listening(),
        server(sidecar, "first", {"archive_mode": "on", "archive_command": archive}) as login,
        psycopg.connect(login, autocommit=True) as connection,
    ):

        def one(query: str) -> object:
            row = connection.execute(query).fetchone()  # type: ignore[call-overload]
            return row and row[0]

        connection.execute("CREATE TABLE runs AS SELECT i FROM generate_series(1, 1000) i")
        done = sidecar.run(
            barman.base_backup(sidecar.spec, SERVER, "base"),
            PGHOST=str(sidecar.folder / "first"),
            PGPORT="5432",
        )
        assert done.returncode == 0, done.stderr
        connection.execute("INSERT INTO runs SELECT i FROM generate_series(1001, 1500) i")
        moment = one("SELECT now()")
        time.sleep(0.2)
        connection.execute("DELETE FROM runs WHERE i <= 1400")  # the mistake
        last = one("SELECT pg_walfile_name(pg_switch_wal())")
        until(lambda: str(one("SELECT last_archived_wal FROM pg_stat_archiver")) >= str(last))
        assert one("SELECT failed_count FROM pg_stat_archiver") == 0

        listed = json.loads(sidecar.run(barman.backup_list(sidecar.spec, SERVER)).stdout)["backups_list"]
        assert [each["status"] for each in listed] == ["DONE"]
        target = sidecar.folder / "restored"
        sidecar.source = aside(stack.s3_root.client())
        done = sidecar.run(barman.restore(sidecar.spec, sidecar.source, listed[0]["backup_id"], str(target)))
        assert done.returncode == 0, done.stderr
        (target / "recovery.signal").touch()
        options = {
            "restore_command": sidecar.ask("restore", sidecar.folder / "second/data", "%f", "%p"),
            "recovery_target_time": str(moment),
            "recovery_target_action": "promote",
        }
        with server(sidecar, "second", options, target) as again, psycopg.connect(again, autocommit=True) as second:
            until(lambda: second.execute("SELECT pg_is_in_recovery()").fetchone() == (False,))
            assert second.execute("SELECT count(*), max(i) FROM runs").fetchone() == (1500, 1500)
    # all of it lies in the bucket that is its own, where only its own user may write
    client = stack.s3_root.client()
    keys = [each["Key"] for each in client.list_objects_v2(Bucket=credentials.POSTGRES_BACKUPS)["Contents"]]
    assert any(key.startswith(f"{MOVED}/base/") for key in keys) and any(f"{MOVED}/wals/" in key for key in keys)
    assert shutil.rmtree(sidecar.folder) is None
    for key in keys:
        client.delete_object(Bucket=credentials.POSTGRES_BACKUPS, Key=key)


def test_the_user_of_the_archive_gets_at_nothing_else(stack: Stack, tmp_path: Path) -> None:
    sidecar = Sidecar(stack, tmp_path)
    spec = {**sidecar.spec, "configuration": {**sidecar.spec["configuration"], "destinationPath": "s3://models/"}}
    refused = sidecar.run(barman.backup_list(spec, SERVER))
    assert refused.returncode != 0 and ("403" in refused.stderr or "denied" in refused.stderr.lower()), refused
