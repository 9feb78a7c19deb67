"""PostgreSQL on loopback, and in it what CloudNativePG makes: an owner with a password and two databases of its."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path

import psycopg
from psycopg import sql

from cluster.health import ask
from cluster.health.judge import judge
from cluster.render import credentials
from cluster.render.local_services import POSTGRES_PORT, Configuration
from lab.services.problems import ServicesError
from lab.services.processes import Process

NAME = "postgresql"
USER = "postgres"
"""Debian's user for it: PostgreSQL refuses to run as root."""


def process(programs: Path, folder: Path, host: str) -> Process:
    """Make an empty cluster of databases in ``folder``/data, and return its server."""
    user = _user()
    data = folder / "data"
    if not data.exists():
        folder.mkdir(mode=0o700, exist_ok=True)
        if user:
            shutil.chown(folder, user, user)
        _initialise(programs, data, user)
    options = {"listen_addresses": host, "port": POSTGRES_PORT, "unix_socket_directories": folder}
    return Process(
        name=NAME,
        command=(
            str(programs / "postgres"),
            "-D",
            str(data),
            *(word for key, value in options.items() for word in ("-c", f"{key}={value}")),
        ),
        environment=_environment(),
        folder=folder,
        ready=lambda: judge(NAME, "database", ask.database(_superuser(folder))).reason or None,
        user=user,
        # fast: it ends its sessions and writes everything down, and does not wait for clients to go
        stop_signal=signal.SIGINT,
    )


def apply(wanted: Configuration, folder: Path) -> None:
    """Make the owner and both databases, as far as they are not there: CloudNativePG's bootstrap.initdb, and Database.

    The password goes over the server's own socket, not through arguments.
    """
    initdb = wanted.cluster["bootstrap"]["initdb"]
    login = wanted.secrets[initdb["secret"]["name"]]
    if login["username"] != initdb["owner"]:
        raise ServicesError(f"the Secret's user {login['username']!r} is not the owner {initdb['owner']!r}")
    second = wanted.auth_database
    with psycopg.connect(_superuser(folder), autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [login["username"]]).fetchone()
        connection.execute(
            sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(
                sql.SQL("ALTER" if known else "CREATE"),
                sql.Identifier(login["username"]),
                sql.Literal(login["password"]),
            )
        )
        for name, owner in ((initdb["database"], initdb["owner"]), (second["name"], second["owner"])):
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                query = sql.SQL("CREATE DATABASE {} OWNER {}")
                connection.execute(query.format(sql.Identifier(name), sql.Identifier(owner)))


def conninfo(wanted: Configuration, host: str) -> str:
    """Return how a client of the owner's logs in, as libpq takes it."""
    initdb = wanted.cluster["bootstrap"]["initdb"]
    login = wanted.secrets[initdb["secret"]["name"]]
    return credentials.conninfo(host, POSTGRES_PORT, login["password"], initdb["database"])


def _superuser(folder: Path) -> str:
    return f"host={folder} port={POSTGRES_PORT} dbname=postgres user={USER}"


def _initialise(programs: Path, data: Path, user: str | None) -> None:
    # Its socket lies in a folder that only its user and root can enter; over TCP a password is asked for.
    command = [str(programs / "initdb"), "-D", str(data), "-U", USER, "-A", "scram-sha-256", "--auth-local=trust"]
    command += ["--encoding=UTF8", "--locale=C.UTF-8"]
    before = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--"] if user else []
    done = subprocess.run([*before, *command], cwd="/", env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ServicesError(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}")


def _user() -> str | None:
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(USER).pw_name
    except KeyError:
        raise ServicesError(
            f"PostgreSQL does not run as root, and there is no user {USER}; install Debian's package postgresql"
        ) from None


def _environment() -> dict[str, str]:
    return {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
