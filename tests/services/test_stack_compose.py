"""The Compose file read by docker compose's own library, and what a container runs, run here. Docker is not."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from pydantic import SecretStr

from cluster.health import ask
from cluster.render import credentials
from cluster.render.compose import DATABASE_SCRIPT, compose
from cluster.settings.load import from_file
from lab.services import local_stack, servers, store
from lab.services.problems import ServicesError
from lab.services.processes import Processes
from lab.services.stack import Stack, free_hosts, new_secrets
from toolchain.problems import NotHadError

pytestmark = [pytest.mark.daemon, pytest.mark.xdist_group("services")]

ROOT = Path(__file__).resolve().parent.parent.parent
SETTINGS = from_file(ROOT / "Pulumi.dev.yaml")
WANTED = compose(SETTINGS)


@pytest.fixture(scope="module")
def read() -> Any:
    """Reads a written Compose file as docker compose does."""
    try:
        program = servers.compose_check()
    except NotHadError as reason:
        pytest.skip(str(reason))

    def run(file: Path) -> Any:
        done = subprocess.run([program, file], capture_output=True, text=True, check=False, env={"PATH": os.defpath})
        return json.loads(done.stdout) if done.returncode == 0 else done.stderr

    return run


def test_composes_own_library_takes_it_and_fills_the_passwords_in(read: Any, tmp_path: Path) -> None:
    file = local_stack.write(WANTED, tmp_path)
    found = read(file)
    assert set(found["services"]) == set(WANTED.document["services"])
    password = found["services"]["object-store"]["environment"]["MINIO_ROOT_PASSWORD"]
    assert f"OBJECT_STORE_ROOT_PASSWORD={password}\n" in (tmp_path / ".env").read_text()
    assert len(password) > 20
    # what Compose must not touch: the shell's own variables
    assert found["services"]["database"]["environment"]["SCRIPT"] == DATABASE_SCRIPT
    assert found["services"]["object-store-setup"]["entrypoint"][-1].count("$$") == 0


def test_the_library_refuses_what_is_no_compose_file(read: Any, tmp_path: Path) -> None:
    """The check itself can fail: a key that Compose does not know."""
    file = local_stack.write(WANTED, tmp_path)
    file.write_text(file.read_text().replace("healthcheck:", "healthchek:", 1))
    assert "healthchek" in read(file)


def test_passwords_are_for_their_owner_only_and_stay_the_same(tmp_path: Path) -> None:
    local_stack.write(WANTED, tmp_path)
    first = (tmp_path / ".env").read_text()
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    local_stack.write(WANTED, tmp_path)
    assert (tmp_path / ".env").read_text() == first
    values = [line.partition("=")[2] for line in first.splitlines()]
    assert len(set(values)) == len(values) == len(WANTED.variables)
    assert not [value for value in values if value in (tmp_path / local_stack.FILE).read_text()]


def test_without_docker_compose_one_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServicesError, match=r"no docker on PATH.*python -m lab.services up"):
        local_stack.docker_compose(tmp_path / "docker-compose.yaml", ["up"])
    docker = tmp_path / "docker"  # a docker without the plugin, as Debian's docker-cli is
    docker.write_text("#!/bin/sh\nexit 1\n")
    docker.chmod(0o755)
    with pytest.raises(ServicesError, match="docker is there, but not its plugin compose"):
        local_stack.docker_compose(tmp_path / "docker-compose.yaml", ["up"])


class Database:
    """What the container ``database`` runs, as the user that it runs it as, on an address of loopback."""

    def __init__(self, folder: Path, host: str) -> None:
        self.folder, self.host = folder, host
        setup = folder / "setup.sql"
        setup.write_text(WANTED.document["configs"]["database-setup"]["content"])
        setup.chmod(0o644)
        (folder / "volume").mkdir()
        shutil.chown(folder / "volume", "postgres", "postgres")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        programs = servers.postgres()
        environment = {
            "PATH": f"{programs}{os.pathsep}{os.defpath}",
            "PGDATA": str(self.folder / "volume" / "pgdata"),
            "OWNER_PASSWORD": "it's a 'quoted' one",
            "SETUP_FILE": str(self.folder / "setup.sql"),
            "LISTEN": self.host,
        }
        user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"]
        words = [*user, "bash", "-ceu", DATABASE_SCRIPT]
        self.process = subprocess.Popen(
            words,
            env=environment,
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def answer(self, database: str = credentials.DATABASE) -> str:
        """Return what the owner's query comes to, waiting for the server to be there."""
        conninfo = credentials.conninfo(self.host, 5432, "it's a 'quoted' one", database)
        for _ in range(600):
            found = ask.database(conninfo)
            if found.code == 200 or not re.search("refused|starting up", found.error):
                return found.error or found.body
            assert self.process is not None and self.process.poll() is None, "the script ended"
            time.sleep(0.1)
        raise AssertionError("the database did not come up")

    def end(self, number: signal.Signals) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, number)
            self.process.wait()
            self.process = None


@pytest.fixture
def database() -> Iterator[Database]:
    if os.geteuid() != 0 or not any(user.pw_name == "postgres" for user in pwd.getpwall()):
        pytest.skip("takes root and the user postgres, as the container has them")
    folder = Path(tempfile.mkdtemp(prefix="inference-cloud-compose-"))
    folder.chmod(0o755)
    made = Database(folder, free_hosts().database)
    yield made
    made.end(signal.SIGKILL)
    shutil.rmtree(folder)


def test_the_databases_script_makes_both_databases_and_keeps_them_over_a_restart(database: Database) -> None:
    database.start()
    assert database.answer() == database.answer(credentials.AUTH_DATABASE) == "(1,)"
    database.end(signal.SIGINT)
    database.start()
    assert database.answer() == "(1,)"


def test_a_first_start_that_was_killed_is_begun_again(database: Database) -> None:
    database.start()
    half = database.folder / "volume" / "pgdata.new"
    for _ in range(600):
        if half.exists():
            break
        time.sleep(0.02)
    database.end(signal.SIGKILL)
    assert not (database.folder / "volume" / "pgdata").exists()
    database.start()
    assert database.answer() == "(1,)"


def client() -> str:
    """Return MinIO's client; a file manager has the same name."""
    found = shutil.which("mc")
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout if found else ""
    if found is None or "minio" not in said.lower():
        pytest.skip("MinIO's client mc is not on PATH: go install github.com/minio/mc@latest")
    return found


@pytest.fixture
def empty_store(tmp_path: Path) -> Iterator[Stack]:
    """A MinIO in which nothing has been made yet."""
    try:
        programs = servers.Servers(minio=servers.minio(), postgres=tmp_path, python=tmp_path)
    except NotHadError as reason:
        pytest.skip(str(reason))
    (tmp_path / "logs").mkdir()
    processes = Processes(tmp_path / "logs")
    made = Stack(SETTINGS, new_secrets(), programs, tmp_path, free_hosts(), processes)
    processes.add(store.process(programs.minio, tmp_path / "data", made.configuration, made.hosts))
    try:
        processes.start(store.NAME)
        yield made
    finally:
        processes.stop_all()


def test_the_stores_script_makes_user_policy_and_buckets_and_may_be_run_again(
    empty_store: Stack, tmp_path: Path
) -> None:
    """What the container ``object-store-setup`` runs, by the client that is in its image."""
    folder = Path(client()).parent
    service = WANTED.document["services"]["object-store-setup"]
    policies = tmp_path / "policies"
    policies.mkdir()
    for config in service["configs"]:
        text = WANTED.document["configs"][config["source"]]["content"]
        (policies / Path(config["target"]).name).write_text(text)
    shell, flags, script = service["entrypoint"]
    script = script.replace("$$", "$").replace("/config/policies", str(policies))
    root = empty_store.s3_root
    login = f"{root.access_key}:{root.secret_key.get_secret_value()}"
    environment = {
        **{name: value for name, value in service["environment"].items() if name.startswith(("USER_", "BUCKETS"))},
        "USER_PASSWORD": "a-password-of-the-user",
        "MC_HOST_store": root.endpoint.replace("http://", f"http://{login}@"),
        "PATH": f"{folder}{os.pathsep}{os.defpath}",
        "HOME": str(tmp_path),
    }
    for _ in range(2):
        done = subprocess.run([shell, flags, script], env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "a-password-of-the-user" not in done.stdout + done.stderr
    root.client().create_bucket(Bucket="of-others")
    user = replace(root, access_key=environment["USER_NAME"], secret_key=SecretStr("a-password-of-the-user")).client()
    for bucket in environment["BUCKETS"].split():
        user.put_object(Bucket=bucket, Key="a/b", Body=b"1")
        assert user.get_object(Bucket=bucket, Key="a/b")["Body"].read() == b"1"
    with pytest.raises(ClientError, match="AccessDenied"):
        user.put_object(Bucket="of-others", Key="a", Body=b"1")
