"""Asking: each function puts one question to one service and never raises for what the service does.

No answer has a password in it: what goes wrong is told by the kind of error and the address.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping

import httpx

from cluster.health.model import Answer
from cluster.services.logins import MLflowLogin

PATIENCE_S = 5.0

STORE_PATHS = {"minio": "/minio/health/ready", "seaweedfs": "/status"}
"""Where each engine says how it does, to whoever asks."""


def store(endpoint: str, engine: str = "minio", ca_file: str | None = None) -> Answer:
    """Ask the object store at ``endpoint`` (a URL) for its health."""
    return _get(f"{endpoint.rstrip('/')}{STORE_PATHS[engine]}", ca_file=ca_file)


def mlflow(login: MLflowLogin, *, host: str | None = None) -> Answer:
    """Ask MLflow's API for one experiment: that takes its login and its database.

    ``host`` is a name that it knows, where it is reached under another: it answers 403 to all others.
    """
    user = (login.username, login.password.get_secret_value()) if login.username and login.password else None
    url = f"{login.uri.rstrip('/')}/api/2.0/mlflow/experiments/search?max_results=1"
    return _get(url, auth=user, headers={"Host": host} if host else {}, ca_file=login.ca_file)


def model(base_url: str, name: str) -> Answer:
    """Ask a model's service for its readiness by the v2 protocol."""
    return url(f"{base_url.rstrip('/')}/v2/models/{name}/ready")


def url(address: str) -> Answer:
    """Ask any URL, for a service whose readiness is a path of its own."""
    return _get(address)


def database(conninfo: str) -> Answer:
    """Ask PostgreSQL a query that it has to plan and run; ``conninfo`` as libpq takes it."""
    import psycopg  # not at the top: a stack without a cluster has no use for it
    from psycopg.conninfo import conninfo_to_dict

    where = conninfo_to_dict(conninfo)
    asked = f"SELECT 1 on {where.get('host')}:{where.get('port', 5432)}/{where.get('dbname')}"
    began = time.monotonic()
    try:
        with psycopg.connect(conninfo, connect_timeout=int(PATIENCE_S)) as connection:
            row = connection.execute("SELECT 1").fetchone()
    except psycopg.Error as error:
        return Answer(asked, _since(began), error=_first_line(error))
    return Answer(asked, _since(began), code=200 if row == (1,) else 500, body=str(row))


def _get(
    address: str,
    *,
    auth: tuple[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    ca_file: str | None = None,
) -> Answer:
    began = time.monotonic()
    try:
        trust: ssl.SSLContext | bool = ssl.create_default_context(cafile=ca_file) if ca_file else True
        # trust_env: a proxy of the user's would be asked for addresses that only the cluster knows
        with httpx.Client(timeout=PATIENCE_S, verify=trust, trust_env=False) as client:
            answer = client.get(address, auth=auth, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return Answer(f"GET {address}", _since(began), error=_first_line(error))
    return Answer(f"GET {address}", _since(began), code=answer.status_code, body=answer.text[:500])


def _since(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 1)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
