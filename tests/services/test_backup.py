"""Backups of a real PostgreSQL, a real MinIO, a real Pulumi state and real leases: made, lost, restored, rehearsed."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner, Result

from cloudctl.app import app
from cloudctl.engine import Engine
from cluster.backup.parts.postgres import Postgres
from cluster.backup.parts.state import identities
from cluster.leases.file import LeaseFile
from cluster.render import credentials, store_users
from cluster.services.logins import S3Login
from lab.services.stack import Stack

pytestmark = [
    pytest.mark.daemon,
    pytest.mark.xdist_group("services"),
    pytest.mark.skipif(shutil.which("restic") is None, reason="restic is not installed"),
]

ROOT = Path(__file__).resolve().parents[2]
CARD, OTHER = "0000:41:00.0", "0000:81:00.0"
SECRET_ROW = "a-run-that-nobody-else-has-to-see"
PART = 16 << 20


@dataclass
class World:
    """A project with a stack whose state, leases, databases and buckets are real; the second place is a folder."""

    stack: Stack
    project: Path
    place: Path

    def cloudctl(self, *words: str) -> Result:
        return CliRunner().invoke(app, [*words, "--stack", "dev"], catch_exceptions=False)

    def json(self, *words: str, code: int = 0) -> dict[str, Any]:
        done = self.cloudctl("backup", *words, "--json")
        assert done.exit_code == code, done.output
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def process(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "cloudctl", "backup", *words, "--stack", "dev"],
            cwd=self.project,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    @property
    def server(self) -> str:
        return f"host={self.stack.folder / 'postgresql'} port=5432 user=postgres"

    def sql(self, query: str, database: str = "mlflow") -> list[tuple[Any, ...]]:
        with psycopg.connect(self.server, dbname=database, autocommit=True) as connection:
            cursor = connection.execute(query)  # type: ignore[call-overload]
            return list(cursor.fetchall()) if cursor.description else []

    @property
    def leases(self) -> LeaseFile:
        return LeaseFile(self.project / ".cloud/state.json")

    def objects(self, bucket: str) -> dict[str, bytes]:
        client = self.stack.s3_root.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
        return {key: bytes(client.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in keys}

    def scratch(self) -> list[str]:
        """Return what a rehearsal would leave: databases, buckets, files."""
        found = [name for (name,) in self.sql("SELECT datname FROM pg_database WHERE datname LIKE 'rehearsal%'")]
        buckets = self.stack.s3_root.client().list_buckets()["Buckets"]
        found += [each["Name"] for each in buckets if each["Name"].startswith(store_users.SCRATCH)]
        folder = self.project / ".cloud/dev/backup/scratch"
        return found + ([str(folder)] if folder.exists() else [])


def reader(stack: Stack) -> S3Login:
    """Return the login by which backups read the store."""
    password = credentials.backup_reader(stack.secrets.backup_password)
    return S3Login(stack.hosts.store_url, credentials.BACKUP_USER, password)


def settings(place: str, **more: Any) -> str:
    section = {"place": place, "parts": ["postgres", "state", "leases", "buckets"], **more}
    return (ROOT / "Pulumi.dev.yaml").read_text() + f"\n  inference-cloud:backup: {json.dumps(section)}\n"


STATE: dict[str, Any] = {
    "version": 3,
    "deployment": {
        "manifest": {"time": "2026-11-29T03:07:12Z", "magic": "", "version": "v3.220.0"},
        "resources": [
            {
                "urn": f"urn:pulumi:dev::inference-cloud::{kind}::{name}",
                "custom": False,
                "type": kind,
                "inputs": {"task": name},
            }
            for kind, name in (
                ("pulumi:pulumi:Stack", "inference-cloud-dev"),
                ("cloud:mlops:Database", "database"),
                ("cloud:mlops:ObjectStore", "store"),
            )
        ],
    },
}


MARK, SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"
"""How the engine writes a secret into a state."""


def _encrypted(file: Path, value: str) -> str:
    """Return a value as the engine encrypts it for the stack, by a copy of its settings."""
    copy = file.with_name("encrypting.yaml")
    shutil.copy(file, copy)
    words = ["pulumi", "config", "set", "--secret", "x", "--stack", "dev", "--config-file", str(copy)]
    subprocess.run(words, input=value, text=True, check=True, cwd=file.parent, capture_output=True)
    found = re.search(r"secure: (v1:\S+)", copy.read_text())
    copy.unlink()
    assert found
    return found[1]


@pytest.fixture(scope="module")
def world(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Make the project, fill it, and put its logins into the environment, as the timer's file does."""
    if shutil.which("pulumi") is None and not (ROOT / ".lab/toolchain/bin/pulumi").exists():
        pytest.skip("there is no Pulumi engine; make one: make engine")
    folder = tmp_path_factory.mktemp("backup")
    project, place = folder / "project", folder / "nas" / "backups"
    (project / ".cloud").mkdir(parents=True)
    place.parent.mkdir()
    (project / "Pulumi.yaml").write_text("name: inference-cloud\nruntime: python\n")
    (project / "Pulumi.dev.yaml").write_text(settings(str(place)))
    login = reader(stack)
    told = {
        "BACKUP_PASSWORD": stack.secrets.backup_password.get_secret_value(),
        "AWS_ENDPOINT_URL": login.endpoint,
        "AWS_ACCESS_KEY_ID": login.access_key,
        "AWS_SECRET_ACCESS_KEY": login.secret_key.get_secret_value(),
        "DATABASE_URL": f"postgresql://postgres@/postgres?host={stack.folder / 'postgresql'}&port=5432",
        "PATH": os.pathsep.join([str(ROOT / ".lab/toolchain/bin"), os.environ["PATH"]]),
        "PULUMI_BACKEND_URL": f"file://{folder / 'backend'}?metadata=skip",
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_CONFIG_PASSPHRASE": "correct horse",
        "HOME": str(folder),
    }
    (folder / "backend").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        for name, value in told.items():
            patch.setenv(name, value)
        made = World(stack, project, place)
        _fill(made)
        yield made


def _fill(world: World) -> None:
    file = world.project / "Pulumi.dev.yaml"
    engine = Engine(world.project)
    engine.create("dev", beside=file)
    sealed = engine.export("dev")["deployment"]["secrets_providers"]
    state = {**STATE["deployment"], "secrets_providers": sealed}
    state["resources"][1]["outputs"] = {"password": {MARK: SECRET, "ciphertext": _encrypted(file, "hush")}}
    engine.import_state("dev", json.dumps({"version": 3, "deployment": state}), beside=file)
    world.leases.take("workstation", CARD, "cloud/dev", "gpu-1")
    world.sql(
        "CREATE TABLE backup_rows AS SELECT i, md5(i::text) AS t, i * 0.1::float8 AS f FROM generate_series(1, 20000) i"
    )
    world.sql(f"INSERT INTO backup_rows VALUES (0, '{SECRET_ROW}', 0.1)")
    world.sql("ALTER TABLE backup_rows OWNER TO mlflow")
    client = world.stack.s3_root.client()
    draw = random.Random(7)
    for key in ("a/plain", "with space/ümlaut", "folder/", "n" * 200):
        client.put_object(Bucket="models", Key=key, Body=draw.randbytes(0 if key.endswith("/") else 3000))
    client.put_object(Bucket="models", Key="about", Body=b"x", ContentType="text/x-model", Metadata={"by": "me"})
    world.stack.s3_root.client().upload_fileobj(_Bytes(draw.randbytes(PART + 12345)), "models", "large/weights.bin")


def _Bytes(data: bytes) -> Any:  # noqa: N802 a file of bytes
    import io

    return io.BytesIO(data)


@pytest.fixture(scope="module")
def report(world: World) -> dict[str, Any]:
    """Back everything up once."""
    before = world.cloudctl("backup", "list")
    assert before.exit_code == 3 and "there are no backups at" in before.output
    return world.json("run")


def states(data: dict[str, Any]) -> dict[str, str]:
    return {each["part"]: each["state"] for each in data["parts"]}


def every(state: str) -> dict[str, str]:
    return dict.fromkeys(("state", "leases", "postgres", "buckets"), state)


def test_every_part_is_kept_and_nobody_reads_it_without_the_password(world: World, report: dict[str, Any]) -> None:
    assert states(report) == every("done"), report
    assert report["created"]
    listed = world.json("list")
    assert {each["part"]: each["late"] for each in listed["parts"]} == dict.fromkeys(every(""), False)
    password = world.stack.secrets.backup_password.get_secret_value().encode()
    plain = (SECRET_ROW.encode(), b"by: me", b"inference-cloud-dev", password)
    for file in world.place.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not any(word in content for word in plain), file
    assert world.scratch() == []


def test_a_rehearsal_compares_everything_and_leaves_nothing(world: World, report: dict[str, Any]) -> None:
    found = world.json("rehearse")
    assert states(found) == every("as it was"), found
    rows = {each["part"]: each for each in found["parts"]}
    assert "rows of mlflow: " in " ".join(rows["postgres"]["compared"])
    assert "objects of bucket models, with their checksums: 6" in rows["buckets"]["compared"]
    assert "resources: 3" in rows["state"]["compared"] and "leases: 1" in rows["leases"]["compared"]
    for row in rows.values():
        assert 0 < row["rpo_s"] < 600 and 0 < row["restore_s"] < 300, row
    assert world.scratch() == []
    # a wrong passphrase is found out by a rehearsal, and not when the state is needed
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PULUMI_CONFIG_PASSPHRASE", "wrong")
        wrong = world.json("rehearse", "state", code=1)
    assert "passphrase" in wrong["parts"][0]["problems"][0]


def test_what_was_lost_comes_back(world: World, report: dict[str, Any]) -> None:
    before = {"models": world.objects("models"), "rows": world.sql("SELECT * FROM backup_rows ORDER BY i")}
    state = identities(Engine(world.project).export("dev"))
    leases = world.leases.read().leases
    client = world.stack.s3_root.client()
    # all that people break: rows, objects, a lease file, a stack
    world.sql("DELETE FROM backup_rows WHERE i < 5000; UPDATE backup_rows SET t = 'other' WHERE i = 7000")
    client.delete_object(Bucket="models", Key="large/weights.bin")
    client.put_object(Bucket="models", Key="a/plain", Body=b"other")
    client.put_object(Bucket="models", Key="later", Body=b"stays")
    world.leases.path.write_text("{ half")
    Engine(world.project).import_state(
        "dev",
        json.dumps({"version": 3, "deployment": {"manifest": STATE["deployment"]["manifest"]}}),
        beside=world.project / "Pulumi.dev.yaml",
    )
    refused = world.cloudctl("backup", "run", "--part", "leases")
    assert refused.exit_code == 1 and "is not a lease file" in refused.output
    root = world.stack.s3_root
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", root.access_key)
        patch.setenv("AWS_SECRET_ACCESS_KEY", root.secret_key.get_secret_value())
        told = {part: world.json("restore", part, "--over", "--yes")["lines"] for part in every("")}
    assert world.objects("models") == {**before["models"], "later": b"stays"}
    about = client.head_object(Bucket="models", Key="about")
    assert (about["ContentType"], about["Metadata"]) == ("text/x-model", {"by": "me"})
    assert "bucket models: 2 objects written, 4 were there, 1 that are not in it stay" in told["buckets"]
    assert world.sql("SELECT * FROM backup_rows ORDER BY i") == before["rows"]
    assert world.sql("SELECT tableowner FROM pg_tables WHERE tablename = 'backup_rows'") == [("mlflow",)]
    assert world.leases.read().leases == leases
    assert world.leases.path.with_name("state.json.broken").read_text() == "{ half"
    assert identities(Engine(world.project).export("dev")) == state
    client.delete_object(Bucket="models", Key="later")


def test_files_come_into_a_folder_and_into_no_other(world: World, report: dict[str, Any]) -> None:
    dry = world.cloudctl("backup", "restore", "buckets", "--dry-run")
    assert "nothing was done" in dry.output and sorted(world.project.glob("buckets-*")) == []
    told = world.json("restore", "buckets")
    folder = world.project / f"buckets-{told['run']}"
    found = {
        str(each.relative_to(folder / "models")): each for each in (folder / "models").rglob("*") if each.is_file()
    }
    there = {key: content for key, content in world.objects("models").items() if not key.endswith("/")}
    # what ends with a slash can be an object and no file
    odd = found.pop("odd-names.json")
    assert [found.pop(name).read_bytes() for name in json.loads(odd.read_text())] == [b""]
    assert {name: each.read_bytes() for name, each in found.items()} == there
    assert all(each.stat().st_mode & 0o077 == 0 for each in folder.rglob("*"))
    again = world.cloudctl("backup", "restore", "buckets")
    assert again.exit_code == 1 and "is there already" in again.output
    dump = world.json("restore", "postgres", "--into", str(world.project / "dump"))
    assert any("pg_restore" in line for line in dump["lines"])
    listed = subprocess.run(
        ["pg_restore", "--list", str(world.project / "dump/mlflow.dump")], capture_output=True, text=True, check=True
    )
    assert "backup_rows" in listed.stdout


def test_a_place_that_is_damaged_gone_or_not_ours_is_found_out(world: World, report: dict[str, Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESTIC_PASSWORD", "another")
        wrong = world.cloudctl("backup", "list")
    assert wrong.exit_code == 3 and "was made with another password" in wrong.output
    aside = world.place.with_name("aside")
    world.place.rename(aside)
    gone = world.cloudctl("backup", "run", "--part", "leases")
    assert gone.exit_code == 3 and "are gone: is it mounted?" in gone.output and not world.place.exists()
    shutil.copytree(aside, world.place)
    large = max((each for each in (world.place / "data").rglob("*") if each.is_file()), key=lambda e: e.stat().st_size)
    large.chmod(0o600)
    with large.open("r+b") as file:
        file.seek(large.stat().st_size // 2)
        file.write(b"rot")
    broken = world.json("rehearse", "buckets", code=1)
    assert broken["parts"][0]["problems"], broken
    assert world.scratch() == []
    shutil.rmtree(world.place)
    aside.rename(world.place)


def test_a_killed_run_leaves_nothing_that_counts_and_a_killed_rehearsal_is_cleaned_up(
    world: World, report: dict[str, Any]
) -> None:
    before = world.json("list")["backups"]
    killed = world.process("run", "--part", "buckets")
    data = world.place / "data"
    size = sum(each.stat().st_size for each in data.rglob("*"))
    _until(lambda: sum(each.stat().st_size for each in data.rglob("*")) > size or killed.poll() is not None)
    second = world.cloudctl("backup", "run", "--part", "leases")
    assert second.exit_code == 1 and "is under way" in second.output
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert world.json("list")["backups"] == before
    rehearsal = world.process("rehearse", "postgres", "buckets")
    _until(lambda: any(each.startswith("rehearsal") for each in world.scratch()) or rehearsal.poll() is not None)
    rehearsal.send_signal(signal.SIGKILL)
    rehearsal.wait()
    assert world.scratch() != []
    theirs = "rehearsal_of_somebody_else"
    anothers = (
        f"rehearsal_{hashlib.sha256(b'another').hexdigest()[:12]}_00000000"  # of another stack on the same server
    )
    bare = f"rehearsal_{hashlib.sha256(b'dev').hexdigest()[:12]}_00000000"  # killed as soon as it was made
    for name in (theirs, anothers, bare):
        world.sql(f"CREATE DATABASE {name}", "postgres")
    found = world.json("rehearse", "postgres", "buckets")
    assert f"database {bare}" in found["cleaned"]
    assert sorted(world.scratch()) == sorted([theirs, anothers])
    for name in (theirs, anothers):
        world.sql(f"DROP DATABASE {name}", "postgres")


def test_a_rehearsal_that_could_fill_the_databases_volume_is_not_begun(
    world: World, report: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    used = int(world.sql("SELECT sum(pg_database_size(oid)) FROM pg_database", "postgres")[0][0])
    used += int(world.sql("SELECT sum(size) FROM pg_ls_waldir()", "postgres")[0][0])
    largest = int(world.sql("SELECT pg_database_size('mlflow')")[0][0])

    def with_volume(size: int) -> None:
        made = lambda *parts, **more: Postgres(*parts, **{**more, "volume": size})  # noqa: E731
        monkeypatch.setattr("cloudctl.backups.works.Postgres", made)

    with_volume(used + largest)  # the tables fit, the log that they are written to as well does not
    (part,) = world.json("rehearse", "postgres", code=1)["parts"]
    assert "a rehearsal may take" in part["problems"][0] and "enlarge database.size" in part["problems"][0]
    assert world.scratch() == []
    with_volume(used + 10 * largest + (1 << 30))
    assert world.json("rehearse", "postgres")["parts"][0]["problems"] == []


def test_a_place_on_s3_and_the_monitoring(world: World, tmp_path: Path) -> None:
    root = world.stack.s3_root
    root.client().create_bucket(Bucket="second-place")
    file = world.project / "Pulumi.dev.yaml"
    before = file.read_text()
    where = f"s3:{root.endpoint}/second-place/dev"
    told = settings(where, access_key=root.access_key, parts=["leases"])
    file.write_text(told.replace("retention_days: 7", f"retention_days: 7\n    textfiles: {tmp_path}"))
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("BACKUP_PLACE_SECRET_KEY", root.secret_key.get_secret_value())
            assert states(world.json("run")) == {"leases": "done"}
            assert [each["part"] for each in world.json("list")["backups"]] == ["leases"]
            patch.setenv("RESTIC_PASSWORD", "another")
            assert world.cloudctl("backup", "run").exit_code == 3
    finally:
        file.write_text(before)
    tasks = {each.name.removesuffix(".prom").partition("-dev-")[2]: each.read_text() for each in tmp_path.iterdir()}
    assert set(tasks) == {"backup", "backup-leases"}
    assert 'task_success{stack="dev",task="backup"} 0.0' in tasks["backup"]
    assert 'task_success{stack="dev",task="backup/leases"} 1.0' in tasks["backup-leases"]
    assert 'last_success_timestamp_seconds{stack="dev",task="backup"}' in tasks["backup"]


def _until(true: Any, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
