"""A Compose file with the stack's services in containers: the cluster's images, values and Secrets, and no cluster.

Pure. Passwords are ``${VARIABLES}`` that Compose fills from the file .env beside it, so the file holds none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from cluster.render import chart_containers
from cluster.render.container_images import image
from cluster.render.local_services import MLFLOW_PORT, MODEL_PORT, POSTGRES_PORT, Configuration, Hosts, configuration
from cluster.render.values import minio
from cluster.settings.model import Secrets, Settings

PROJECT = "inference-cloud"
HOSTS = Hosts(store="object-store", database="database", mlflow="mlflow", models="model")
"""Compose's services find each other by their names."""

VARIABLES = {
    "object_store_root_password": "OBJECT_STORE_ROOT_PASSWORD",
    "object_store_mlflow_password": "OBJECT_STORE_MLFLOW_PASSWORD",
    "postgres_password": "POSTGRES_PASSWORD",
    "mlflow_admin_password": "MLFLOW_ADMIN_PASSWORD",
    "grafana_admin_password": "GRAFANA_ADMIN_PASSWORD",
    "backup_password": "BACKUP_PASSWORD",
}
"""Secret of the settings -> variable of .env."""
FLASK_KEY = "MLFLOW_FLASK_SERVER_SECRET_KEY"

_OPEN = "127.0.0.1"
"""Ports are open on this machine only."""

DATABASE_SCRIPT = """\
export PATH="$PATH:$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)"
data="$PGDATA"
sockets="$(dirname "$data")"
if [ ! -s "$data/PG_VERSION" ]; then
  rm -rf "$data.new"
  initdb -D "$data.new" -U postgres -A scram-sha-256 --auth-local=trust --encoding=UTF8 --locale=C.UTF-8
  echo "host all all all scram-sha-256" >> "$data.new/pg_hba.conf"
  pg_ctl -D "$data.new" -w -o "-c listen_addresses='' -c unix_socket_directories='$sockets'" start
  psql -h "$sockets" -U postgres -d postgres -v ON_ERROR_STOP=1 -v password="$OWNER_PASSWORD" -f "$SETUP_FILE"
  pg_ctl -D "$data.new" -w stop
  mv "$data.new" "$data"
fi
exec postgres -D "$data" -c listen_addresses="$LISTEN" -c unix_socket_directories="$sockets"
"""
"""Runs as the user postgres. What is half made lies under another name, so that it is never taken for a database."""

STORE_SCRIPT = """\
until mc ready store; do sleep 1; done
for policy in /config/policies/*.json; do
  name="${policy##*/}"
  mc admin policy create store "${name%.json}" "$policy"
done
printf '%s\\n%s\\n' "$USER_NAME" "$USER_PASSWORD" | mc admin user add store
mc admin policy attach store "$USER_POLICY" --user="$USER_NAME" || mc admin user info store "$USER_NAME"
for bucket in $BUCKETS; do mc mb --ignore-existing "store/$bucket"; done
"""
"""What the chart's jobs do after an install, by the same client."""

_ASK = "import sys, urllib.request as ask; sys.exit(ask.urlopen(sys.argv[1], timeout=5).status != 200)"


@dataclass(frozen=True)
class Compose:
    """``document`` is the Compose file; ``variables`` are the names that .env has to give a value."""

    document: Mapping[str, Any]
    variables: tuple[str, ...]


def compose(settings: Settings) -> Compose:
    """Return the Compose file of a stack's local services. Its object store is MinIO; nothing of it is backed up."""
    settings = settings.model_copy(update={"backup": None})
    secrets = Secrets(**{name: SecretStr(f"${{{variable}}}") for name, variable in VARIABLES.items()})
    wanted = configuration(settings, secrets, HOSTS)
    document = {
        "name": PROJECT,
        "services": {
            "database": _database(settings, wanted),
            "object-store": _store(settings, wanted),
            "object-store-setup": _store_setup(settings, wanted),
            "mlflow-migration": _migration(settings, wanted),
            "mlflow": _mlflow(settings, wanted),
            "model": _model(settings),
        },
        "configs": {
            "database-setup": {"content": _database_setup(wanted)},
            "mlflow-auth": {"content": chart_containers.mlflow_auth_file(wanted.mlflow, wanted.secrets)},
            **{
                f"policy-{name}": {"content": json.dumps(policy, indent=2)}
                for name, policy in chart_containers.minio_policies(wanted.minio).items()
            },
        },
        "volumes": {"database": {}, "object-store": {}},
    }
    used = [VARIABLES[name] for name in VARIABLES if name not in ("grafana_admin_password", "backup_password")]
    return Compose(document, (*used, FLASK_KEY))


def _database(settings: Settings, wanted: Configuration) -> dict[str, Any]:
    # Compose reads $ as the begin of a variable of its own; $$ is one for the shell.
    script = DATABASE_SCRIPT.replace("$", "$$")
    start = 'install -d -o postgres -g postgres -m 700 "$$(dirname "$$PGDATA")" && exec setpriv --reuid=postgres'
    start += ' --regid=postgres --init-groups -- bash -ceu "$$SCRIPT"'
    login = wanted.secrets[wanted.cluster["bootstrap"]["initdb"]["secret"]["name"]]
    return {
        "image": str(image("postgresql", settings.registry)),
        "user": "0:0",
        "entrypoint": ["bash", "-ceu", start],
        "environment": {
            "SCRIPT": script,
            "PGDATA": "/var/lib/postgresql/data/pgdata",
            "OWNER_PASSWORD": login["password"],
            "SETUP_FILE": "/etc/database-setup.sql",
            "LISTEN": "*",
        },
        "configs": [{"source": "database-setup", "target": "/etc/database-setup.sql"}],
        "volumes": ["database:/var/lib/postgresql/data"],
        "ports": [_port(POSTGRES_PORT)],
        "stop_signal": "SIGINT",
        **_kept_up(["CMD", "pg_isready", "-h", "127.0.0.1", "-d", wanted.cluster["bootstrap"]["initdb"]["database"]]),
    }


def _database_setup(wanted: Configuration) -> str:
    """Return what makes the owner and both databases; psql puts the password in, quoted."""
    initdb, second = wanted.cluster["bootstrap"]["initdb"], wanted.auth_database
    return (
        f"CREATE ROLE {initdb['owner']} LOGIN PASSWORD :'password';\n"
        f"CREATE DATABASE {initdb['database']} OWNER {initdb['owner']};\n"
        f"CREATE DATABASE {second['name']} OWNER {second['owner']};\n"
    )


def _store(settings: Settings, wanted: Configuration) -> dict[str, Any]:
    launch = chart_containers.minio_launch(wanted.minio, wanted.secrets, "", "/export")
    return {
        "image": str(image("minio", settings.registry)),
        "command": list(launch.arguments),
        "environment": dict(launch.environment),
        "volumes": ["object-store:/export"],
        "ports": [_port(minio.API_PORT), _port(minio.CONSOLE_PORT)],
        **_kept_up(["CMD", "mc", "ready", "local"]),
    }


def _store_setup(settings: Settings, wanted: Configuration) -> dict[str, Any]:
    ((user, password, policy),) = chart_containers.minio_users(wanted.minio, wanted.secrets)
    root = wanted.secrets[wanted.minio["existingSecret"]]
    return {
        "image": str(image("mc", settings.registry)),
        "entrypoint": ["sh", "-ce", STORE_SCRIPT.replace("$", "$$")],
        "environment": {
            "MC_HOST_store": f"http://{root['rootUser']}:{root['rootPassword']}@{HOSTS.store_host}",
            "USER_NAME": user,
            "USER_PASSWORD": password,
            "USER_POLICY": policy,
            "BUCKETS": " ".join(bucket["name"] for bucket in wanted.minio["buckets"]),
        },
        "configs": [
            {"source": f"policy-{name}", "target": f"/config/policies/{name}.json"}
            for name in chart_containers.minio_policies(wanted.minio)
        ],
        "depends_on": {"object-store": {"condition": "service_healthy"}},
        "restart": "on-failure",
    }


def _migration(settings: Settings, wanted: Configuration) -> dict[str, Any]:
    return {
        "image": str(image("mlflow", settings.registry)),
        "entrypoint": ["python", "-c", chart_containers.mlflow_migration(wanted.mlflow)],
        "environment": chart_containers.mlflow_environment(wanted.mlflow, wanted.secrets),
        "depends_on": {"database": {"condition": "service_healthy"}},
        "restart": "on-failure",
    }


def _mlflow(settings: Settings, wanted: Configuration) -> dict[str, Any]:
    launch = chart_containers.mlflow_launch(wanted.mlflow, wanted.secrets, "0.0.0.0")  # noqa: S104 in its container
    names = [HOSTS.mlflow, "localhost", _OPEN]
    ready = f"http://127.0.0.1:{MLFLOW_PORT}/health"
    return {
        "image": str(image("mlflow", settings.registry)),
        "entrypoint": ["mlflow"],
        "command": list(launch.arguments),
        "environment": {
            **launch.environment,
            "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(pattern for name in names for pattern in (name, f"{name}:*")),
            "MLFLOW_AUTH_CONFIG_PATH": "/etc/mlflow/auth/basic_auth.ini",
            FLASK_KEY: f"${{{FLASK_KEY}}}",
        },
        "configs": [{"source": "mlflow-auth", "target": "/etc/mlflow/auth/basic_auth.ini"}],
        "ports": [_port(MLFLOW_PORT)],
        "depends_on": {
            "mlflow-migration": {"condition": "service_completed_successfully"},
            "object-store-setup": {"condition": "service_completed_successfully"},
        },
        **_kept_up(["CMD", "python", "-c", _ASK, ready]),
    }


def _model(settings: Settings) -> dict[str, Any]:
    """Return a model server for a folder of this machine; it starts with the profile ``model`` only."""
    name = "${MODEL_NAME:-model}"
    launch = chart_containers.mlserver_launch("sklearn", name, "/mnt/models", "0.0.0.0", (MODEL_PORT, 9000, 8082))  # noqa: S104
    ready = f"http://127.0.0.1:{MODEL_PORT}/v2/models/{name}/ready"
    return {
        "image": str(image("mlserver", settings.registry)),
        "profiles": ["model"],
        "entrypoint": ["mlserver"],
        "command": list(launch.arguments),
        "environment": dict(launch.environment),
        "volumes": ["${MODEL_FOLDER:-./model}:/mnt/models:ro"],
        "ports": [_port(MODEL_PORT)],
        **_kept_up(["CMD", "python", "-c", _ASK, ready]),
    }


def _port(number: int) -> str:
    return f"{_OPEN}:{number}:{number}"


def _kept_up(test: list[str]) -> dict[str, Any]:
    healthcheck = {"test": test, "interval": "5s", "timeout": "6s", "retries": 36, "start_period": "10s"}
    return {"restart": "unless-stopped", "healthcheck": healthcheck}
