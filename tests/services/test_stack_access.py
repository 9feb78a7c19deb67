"""The services as the components' Secrets and values configure them: who may do what, and what a mistake breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import httpx
import psycopg
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from pydantic import SecretStr

from cluster.health import ask
from cluster.health.judge import judge
from cluster.render import credentials
from cluster.render.local_services import Configuration, Hosts
from cluster.render.values import mlflow
from cluster.services.logins import MLflowLogin
from lab.services import tracking
from lab.services.health import checks
from lab.services.stack import Stack

pytestmark = [pytest.mark.daemon, pytest.mark.xdist_group("services")]


def test_every_service_answers_by_its_own_api(stack: Stack) -> None:
    found = {check.name: check for check in checks(stack)}
    assert {name: check.state for name, check in found.items() if name in ("minio", "postgresql", "mlflow")} == {
        "minio": "up",
        "postgresql": "up",
        "mlflow": "up",
    }


def test_the_limited_user_has_its_two_buckets_and_nothing_else(stack: Stack) -> None:
    root, limited = stack.s3_root.client(), stack.s3.client()
    root.create_bucket(Bucket="not-yours")
    for bucket in credentials.buckets(stack.settings):
        limited.put_object(Bucket=bucket, Key="mine", Body=b"x")
        assert limited.get_object(Bucket=bucket, Key="mine")["Body"].read() == b"x"
        limited.delete_object(Bucket=bucket, Key="mine")
    for act in (
        lambda: limited.put_object(Bucket="not-yours", Key="a", Body=b"x"),
        lambda: limited.list_objects_v2(Bucket="not-yours"),
        lambda: limited.create_bucket(Bucket="another"),
        lambda: limited.delete_bucket(Bucket="models"),
    ):
        with pytest.raises(ClientError) as refused:
            act()
        assert refused.value.response["Error"]["Code"] == "AccessDenied"


def test_nobody_gets_at_a_bucket_without_a_login(stack: Stack) -> None:
    stack.s3.client().put_object(Bucket="models", Key="secret", Body=b"x")
    assert httpx.get(f"{stack.s3.endpoint}/models/secret").status_code == 403


def test_a_wrong_s3_key_endpoint_or_bucket_fails(stack: Stack) -> None:
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        replace(stack.s3, secret_key=SecretStr("wrong")).client().list_objects_v2(Bucket="models")
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        replace(stack.s3, access_key="nobody").client().list_objects_v2(Bucket="models")
    with pytest.raises(ClientError, match=r"AccessDenied|NoSuchBucket"):
        stack.s3.client().list_objects_v2(Bucket="modles")
    with pytest.raises(EndpointConnectionError):
        replace(stack.s3, endpoint=f"http://{stack.hosts.store}:9").client().list_objects_v2(Bucket="models")


def test_both_databases_belong_to_the_owner_and_hold_mlflows_tables(stack: Stack) -> None:
    for database, table in ((credentials.DATABASE, "experiments"), (credentials.AUTH_DATABASE, "users")):
        with psycopg.connect(stack.database, dbname=database) as connection:
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() is not None
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(stack.database, password="wrong")


def test_mlflow_asks_for_its_login(stack: Stack) -> None:
    for login in (MLflowLogin(stack.mlflow.uri), replace(stack.mlflow, password=SecretStr("wrong"))):
        check = judge("mlflow", "mlflow", ask.mlflow(login))
        assert check.state == "down"
        assert "401" in check.reason


def test_mlflow_answers_no_name_that_is_not_its_own(stack: Stack) -> None:
    answer = httpx.get(f"{stack.mlflow.uri}/api/2.0/mlflow/experiments/search", headers={"Host": "evil.example"})
    assert answer.status_code == 403


def test_prometheus_gets_mlflows_measurements_with_the_admins_login(stack: Stack) -> None:
    """As components/mlflow.py's ServiceMonitor asks: path and basicAuth of the Secret; a pod, by its address."""
    endpoint = mlflow.metrics_endpoint("mlflow-admin")
    login = stack.configuration.secrets[endpoint["basicAuth"]["password"]["name"]]

    def asked(address: str) -> httpx.Response:
        auth = tuple(login[endpoint["basicAuth"][key]["key"]] for key in ("username", "password"))
        return httpx.get(f"{stack.mlflow.uri}{endpoint['path']}", auth=auth, headers={"Host": address})

    pod = "10.233.64.7:5000"
    assert asked(pod).status_code == 403, "it answers to no name that it does not know"
    answer = asked(relabelled(pod, endpoint["relabelings"]))
    assert answer.status_code == 200
    assert "mlflow_" in answer.text or "flask_" in answer.text


def relabelled(address: str, rules: list[dict[str, Any]]) -> str:
    """Return a target's address as Prometheus has it after these rules (each a replacement without a source)."""
    for rule in rules:
        assert rule.keys() == {"targetLabel", "replacement"}
        address = rule["replacement"] if rule["targetLabel"] == "__address__" else address
    return address


def _wrong_key(wanted: Configuration) -> Configuration:
    return replace(
        wanted,
        secrets={**wanted.secrets, "mlflow-s3": {**wanted.secrets["mlflow-s3"], "AWS_SECRET_ACCESS_KEY": "wrong"}},
    )


def _wrong_bucket(wanted: Configuration) -> Configuration:
    values: dict[str, Any] = deepcopy(dict(wanted.mlflow))
    values["artifactRoot"]["s3"]["bucket"] = "mlfow"
    return replace(wanted, mlflow=values)


def _wrong_endpoint(wanted: Configuration) -> Configuration:
    values: dict[str, Any] = deepcopy(dict(wanted.mlflow))
    values["extraEnvVars"]["MLFLOW_S3_ENDPOINT_URL"] += "9"
    return replace(wanted, mlflow=values)


@pytest.fixture
def second_mlflow(stack: Stack) -> Iterator[Callable[[Configuration], MLflowLogin]]:
    """Starts another MLflow, on an address of its own, over the same database."""
    second, third = (int(part) for part in stack.hosts.mlflow.split(".")[1:3])
    host = f"127.{second}.{third}.9"

    def start(wanted: Configuration) -> MLflowLogin:
        values = {**wanted.mlflow, "serverAllowedHosts": [host, f"{host}:*"]}
        login = replace(stack.mlflow, uri=f"http://{host}:5000")
        folder = stack.folder / "second-mlflow"
        made = tracking.process(stack.servers, folder, replace(wanted, mlflow=values), host, login)
        stack.processes.add(replace(made, name="second-mlflow"))
        stack.processes.start("second-mlflow")
        return login

    yield start
    stack.processes.stop("second-mlflow")


def _upload(login: MLflowLogin) -> int:
    """Return the status of an upload through MLflow's proxy to the store, which needs key, endpoint and bucket."""
    assert login.username and login.password
    url = f"{login.uri}/api/2.0/mlflow-artifacts/artifacts/probe.txt"
    auth = (login.username, login.password.get_secret_value())
    return httpx.put(url, content=b"x", auth=auth, timeout=120).status_code


def test_what_goes_through_mlflow_lies_in_its_bucket(stack: Stack) -> None:
    assert _upload(stack.mlflow) == 200
    assert stack.s3.client().head_object(Bucket=credentials.ARTIFACTS, Key="probe.txt")["ContentLength"] == 1


@pytest.mark.parametrize("mistake", [_wrong_key, _wrong_bucket, _wrong_endpoint])
def test_a_mistake_in_mlflows_values_or_secrets_fails_here(
    stack: Stack,
    second_mlflow: Callable[[Configuration], MLflowLogin],
    mistake: Callable[[Configuration], Configuration],
) -> None:
    assert _upload(second_mlflow(mistake(stack.configuration))) == 500


def test_addresses_of_two_stacks_differ_in_their_hosts_only() -> None:
    assert Hosts.numbered(20, 7).store_url == "http://127.20.7.1:9000"
